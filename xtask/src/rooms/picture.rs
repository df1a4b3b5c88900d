//! The picture of the rooms in ARCHITECTURE.md: layers of which each imports from those below.

use std::collections::BTreeMap;

/// The line of each room in a picture, by its path from the project's folder: `hlo/src/graph`. Lower lines have larger numbers.
pub type Layers = BTreeMap<String, usize>;

/// The language of the code block that is a picture.
const FENCE: &str = "```rooms";

/// Reads the pictures of a text: code blocks of lines such as `hlo/src  scan │ ops │ print graph types`, of which the first word is the folder of a
/// crate's sources, on its first line only. A bar divides layers on one line, the upper one first.
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

/// What is wrong with an import by the picture; `None` where a room is not in it, or lies below.
pub fn fault(layers: &Layers, from: &str, to: &str) -> Option<String> {
    let (upper, lower) = (layers.get(from)?, layers.get(to)?);
    (from != to && upper >= lower).then(|| {
        format!("{from} imports {to}, which is not below it in the picture of ARCHITECTURE.md; move what they share, or the room")
    })
}
