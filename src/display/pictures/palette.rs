//! The colours of all pictures, each in a light and a dark variant.

use std::fmt::Write;

use kuva::render::theme::Theme;

/// A colour on a light page and its counterpart on a dark page.
pub(super) struct Colour {
    pub(super) light: &'static str,
    dark: &'static str,
}

const fn colour(light: &'static str, dark: &'static str) -> Colour {
    Colour { light, dark }
}

pub(super) const PAPER: Colour = colour("#fdfdfe", "#1b1f24");
pub(super) const INK: Colour = colour("#24292e", "#e3e6ea");
pub(super) const GRID: Colour = colour("#dfe3e8", "#363c44");
pub(super) const BLUE: Colour = colour("#1f5fa8", "#6cabf0");
pub(super) const PALE: Colour = colour("#a9c4e4", "#3f5f85");
pub(super) const GREEN: Colour = colour("#2a7f3f", "#63c07c");
pub(super) const ORANGE: Colour = colour("#c4561c", "#f09a62");
pub(super) const RED: Colour = colour("#b8323c", "#f0808a");

/// Colours of curves, in order; also distinguishable with colour vision deficiency.
pub(super) const SERIES: [Colour; 6] =
    [BLUE, ORANGE, GREEN, colour("#7a4aa8", "#bd97e6"), colour("#8a6d0f", "#d9bd55"), colour("#11808a", "#56c5cf")];

/// The font stack of all text.
pub(super) const FONTS: &str = "system-ui, 'DejaVu Sans', sans-serif";

/// Axes, grid and text in these colours.
pub(super) fn theme() -> Theme {
    let ink = || INK.light.to_owned();
    Theme {
        background: PAPER.light.into(),
        axis_color: ink(),
        grid_color: GRID.light.into(),
        tick_color: ink(),
        text_color: ink(),
        legend_bg: PAPER.light.into(),
        legend_border: GRID.light.into(),
        colorbar_border: ink(),
        font_family: Some(FONTS.into()),
        ..Theme::light()
    }
}

/// CSS rules that replace the light colours with the dark ones on dark pages: by the system's setting, or by JupyterLab's own if the
/// picture is embedded in its page.
pub(super) fn dark_style() -> String {
    let mut rules = String::new();
    let others = [PAPER, INK, GRID, PALE, RED];
    for Colour { light, dark } in others.iter().chain(&SERIES) {
        for property in ["fill", "stroke"] {
            let _ = write!(rules, "svg.spiq[{property}='{light}'],.spiq [{property}='{light}']{{{property}:{dark}}}");
        }
    }
    format!("<style>@media (prefers-color-scheme: dark){{{rules}}}</style>")
}
