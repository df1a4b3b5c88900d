//! Parses the picture of the rooms in ARCHITECTURE.md: layers that import only from those below.

use std::collections::BTreeMap;

/// The layer of each room, by its path from the project's root: `hlo/src/graph`. Lower layers have larger numbers.
pub type Layers = BTreeMap<String, usize>;

/// The opening fence of a picture's code block.
const FENCE: &str = "```rooms";

/// Parses the pictures in a text: code blocks with lines such as `hlo/src  scan │ ops │ print graph types`. The first word is the
/// folder of a crate's sources and occurs on its first line only. A bar separates layers on one line, the upper one first.
pub fn layers(text: &str) -> Layers {
    let (mut layers, mut sources, mut inside, mut layer) = (Layers::new(), String::new(), false, 0);
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == FENCE;
            continue;
        }
        if !inside {
            continue;
        }
        let mut words = line.split_whitespace().peekable();
        if !line.starts_with(' ')
            && let Some(first) = words.next()
        {
            sources = first.to_owned();
        }
        layer += 1;
        for word in words {
            match word {
                "│" => layer += 1,
                room => _ = layers.insert(format!("{sources}/{room}"), layer),
            }
        }
    }
    layers
}

/// The violation by an import, if any; `None` if a room is not in the picture, or `to` is below `from`.
pub fn fault(layers: &Layers, from: &str, to: &str) -> Option<String> {
    let (upper, lower) = (layers.get(from)?, layers.get(to)?);
    (from != to && upper >= lower).then(|| {
        format!("{from} imports {to}, which is not below it in the picture of ARCHITECTURE.md; move what they share, or the room")
    })
}
