//! A finished picture: SVG that is legible at a notebook's width, on light and dark pages.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use kuva::backend::svg::SvgBackend;
use kuva::render::color::Color;
use kuva::render::layout::Layout;
use kuva::render::render::{PathData, Primitive, Scene};

use super::palette;

/// Width of a notebook page, in pixels.
pub(super) const WIDTH: f64 = 700.0;
pub(super) const TITLE_SIZE: u32 = 15;
const LABEL_SIZE: u32 = 13;
const TICK_SIZE: u32 = 12;

/// A picture as SVG text. Notebooks display it; [`svg`](Picture::svg) returns the text for a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    svg: String,
}

impl Picture {
    /// The text of an SVG file.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// A picture of this size in pixels, with elements in the palette's colours.
    pub(super) fn of([width, height]: [f64; 2], body: &str) -> Picture {
        let head = format!(
            "<svg class=\"spiq\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" style=\"max-width:100%;height:auto\" font-family=\"{}\">",
            palette::FONTS
        );
        Picture { svg: format!("{head}{}{body}</svg>", palette::dark_style()) }
    }

    /// A picture of a rendered scene in the palette's colours.
    pub(super) fn new(mut scene: Scene) -> Picture {
        scene.elements = scene.elements.into_iter().flat_map(compact).collect();
        let drawn = SvgBackend::new().render_scene(&scene);
        let (width, height) = (scene.width, scene.height);
        // On a narrower page, the picture is scaled down instead of clipped.
        let head =
            format!("<svg class=\"spiq\" viewBox=\"0 0 {width} {height}\" style=\"max-width:100%;height:auto\" ");
        let mut svg = drawn.replacen("<svg ", &head, 1);
        let end_of_head = svg.find('>').map_or(0, |at| at + 1);
        svg.insert_str(end_of_head, &palette::dark_style());
        Picture { svg }
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} bytes of SVG)", self.svg.len())
    }
}

/// The common style of all panels.
pub(super) fn styled(layout: Layout, title: &str, x_label: &str, y_label: &str) -> Layout {
    let layout = layout.with_title(title).with_x_label(x_label).with_y_label(y_label);
    layout
        .with_theme(palette::theme())
        .with_title_size(TITLE_SIZE)
        .with_label_size(LABEL_SIZE)
        .with_tick_size(TICK_SIZE)
}

/// Merges many small cells into one path per colour, a tenth of the text.
fn compact(element: Primitive) -> Vec<Primitive> {
    let Primitive::RectBatch { x, y, w, h, fills } = element else { return vec![element] };
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for (i, fill) in fills.iter().enumerate() {
        let path = paths.entry(fill.to_svg_string()).or_default();
        let _ = write!(path, "M{:.1} {:.1}h{:.1}v{:.1}h-{:.1}z", x[i], y[i], w[i], h[i], w[i]);
    }
    let path = |(fill, d): (String, String)| {
        Primitive::Path(Box::new(PathData {
            d,
            fill: Some(fill.into()),
            stroke: Color::None,
            stroke_width: 0.0,
            opacity: None,
            stroke_dasharray: None,
        }))
    };
    paths.into_iter().map(path).collect()
}
