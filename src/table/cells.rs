//! Tables as text for a terminal and as HTML for a notebook.

use std::fmt::{self, Write};

use super::aligned;

/// A table: a header, rows, and an optional caption.
///
/// ```
/// use spiq::display::Table;
/// let table = Table::new(["path", "op"]).row(["core/layers/0", "dot_general"]).caption("1 operation");
/// assert_eq!(table.to_string(), "path           op\ncore/layers/0  dot_general\n\n1 operation\n");
/// assert!(table.html().contains(">core/layers/0</td>"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    caption: String,
}

impl Table {
    /// A table without rows.
    pub fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Table {
        Table { head: head.into_iter().map(Into::into).collect(), ..Table::default() }
    }

    /// Adds a row; missing cells stay empty.
    #[must_use]
    pub fn row<S: Into<String>>(mut self, cells: impl IntoIterator<Item = S>) -> Table {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the line below the table.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Table {
        self.caption = caption.into();
        self
    }

    /// The table as HTML, in the colours of the surrounding page.
    pub fn html(&self) -> String {
        // Notebooks right-align cells by default.
        let cell = |tag: &str, text: &str| format!("<{tag} style=\"text-align:left\">{}</{tag}>", escaped(text));
        let line = |tag: &str, cells: &[String]| {
            let cells: String = cells.iter().map(|text| cell(tag, text)).collect();
            format!("<tr>{cells}</tr>")
        };
        let rows: String = self.rows.iter().map(|row| line("td", row)).collect();
        let mut html = format!("<table><thead>{}</thead><tbody>{rows}</tbody></table>", line("th", &self.head));
        if !self.caption.is_empty() {
            let _ = write!(html, "<p>{}</p>", escaped(&self.caption));
        }
        html
    }
}

/// The columns aligned, the caption below.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head: Vec<&str> = self.head.iter().map(String::as_str).collect();
        f.write_str(&aligned(&head, &self.rows))?;
        if self.caption.is_empty() { Ok(()) } else { writeln!(f, "\n{}", self.caption) }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
