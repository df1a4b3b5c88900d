//! Charts and tables: that they contain the given data for every input shape, and the notebook output of each type.

use spiq::notebook::Show;
use spiq::prelude::*;

fn array(dims: &[usize], values: impl IntoIterator<Item = f32>) -> Array {
    Array::new(dims, values.into_iter().collect::<Vec<f32>>()).expect("as many values as the shape says")
}

/// Checks that an SVG is well-formed: one root, no repeated attribute, a style for dark pages.
#[track_caller]
fn check(picture: &display::Picture, holds: &[&str]) {
    let svg = picture.svg();
    assert!(svg.starts_with("<svg class=\"spiq\" viewBox=\"0 0 ") && svg.trim_end().ends_with("</svg>"), "{svg:.200}");
    assert_eq!(svg.matches("<svg").count(), 1);
    assert!(svg.contains("prefers-color-scheme: dark"));
    assert!(!svg.contains("NaN") && !svg.contains("inf\""), "coordinates are numbers");
    for text in holds {
        assert!(svg.contains(text), "{text} is missing");
    }
}

#[test]
fn a_raster_marks_every_spike_of_the_first_sample() {
    // [T 3, B 2, C 2]: only the first sample is shown.
    let spikes = array(&[3, 2, 2], [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    let picture = display::raster(&spikes).expect("three axes");
    check(&picture, &["3 spikes of 2 units in 3 steps (50.0 % of the maximum)", "time step", ">unit<"]);
    let marks = picture.svg().split("<path d=\"").find(|part| part.contains("v14.0")).expect("a path of marks");
    assert_eq!(marks.split('"').next().unwrap_or_default().matches('M').count(), 3);
}

#[test]
fn a_raster_without_spikes_is_empty() {
    check(&display::raster(&array(&[5, 3], [0.0; 15])).expect("two axes"), &["0 spikes of 3 units in 5 steps"]);
}

#[test]
fn traces_show_six_units_and_the_threshold() {
    let many = array(&[4, 8], (0..32).map(|i| i as f32 / 32.0));
    check(&display::traces(&many, Some(1.0)).expect("two axes"), &["first 6 of 8 units", "unit 5", "threshold"]);
    check(&display::traces(&array(&[1, 1], [f32::NAN]), None).expect("two axes"), &["potential"]);
}

#[test]
fn heat_maps_show_matrices_of_every_size() {
    check(&display::heat_map(&array(&[2, 2], [0.0; 4])).expect("a matrix"), &["f32[2,2], from 0 to 0"]);
    check(&display::heat_map(&array(&[1, 1], [-1.0])).expect("a matrix"), &["from -1 to -1"]);
    let large = array(&[200, 3], (0..600).map(|i| i as f32 - 300.0));
    let picture = display::heat_map(&large).expect("a matrix");
    check(&picture, &["from -300 to 299; a cell is the mean of 4 x 1"]);
    assert!(picture.svg().len() < 40_000, "{}", picture.svg().len());
    let bytes = Array::new([2, 2], [0u8, 1, 2, 3]).expect("four");
    check(&display::heat_map(&bytes).expect("a matrix"), &["u8[2,2]"]);
}

#[test]
fn what_is_no_matrix_or_raster_is_refused() {
    let line = array(&[3], [0.0; 3]);
    let message = display::heat_map(&line).expect_err("one axis").to_string();
    assert_eq!(message, "a heat map shows a matrix [rows, columns], got f32[3]");
    let message = display::raster(&line).expect_err("one axis").to_string();
    assert_eq!(message, "spikes must be [T, C] or [T, B, C] (time, batch, units), got f32[3]");
    let none = array(&[0, 3], []);
    assert!(display::traces(&none, None).is_err() && display::heat_map(&none).is_err());
    assert!(display::heat_map(&array(&[1, 2], [f32::NAN; 2])).is_err(), "no number to show");
}

#[test]
fn nodes_of_a_loop_stand_below_it() {
    let model = Sequential::new("core", [Linear::new(4, 3).into(), Lif::new([3]).into()]);
    let function = model.trace(&TensorType::new(DType::F32, [16, 8, 4])).expect("it fits");
    let text = display::nodes(&function).to_string();
    for part in ["core/layers/0/kernel", "scan", "dot_general", "core/layers/1", "f32[16,8,3]", "returns "] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn a_notebook_shows_values_and_errors_alike() {
    let media = |shown: &dyn Show| shown.content().forms().iter().map(|(media, _)| *media).collect::<Vec<_>>();
    assert_eq!(media(&array(&[2, 2], [0.0, 1.0, 2.0, 3.0])), ["image/svg+xml"]);
    assert_eq!(media(&array(&[3], [0.0, 1.0, 2.0])), ["text/html", "text/plain"]);
    assert_eq!(media(&vec![train::Record::step(0, 1.0)]), ["image/svg+xml"]);

    let x = TensorType::new(DType::F32, [4]);
    let wrong = trace(&[("x", x.clone())], |x| vec![x[0].dot(&x[0].reshape(&[2, 2]))]);
    let text = wrong.content().forms()[0].1.clone();
    assert!(text.starts_with("error: dot_general: "), "{text}");
    assert!(text.contains("tests/command/display.rs:"), "outside of a cell a place is a line of a file: {text}");

    let graph = Graph::new();
    let y = graph.input("x", x).tanh() * 2.0;
    let shown = y.content();
    assert!(shown.forms()[0].1.contains(">tanh</td>"), "{shown:?}");
}

#[test]
fn errors_are_shown_by_unwrap_as_they_are_printed() {
    let wrong =
        trace(&[("x", TensorType::new(DType::F32, [4]))], |x| vec![x[0].reshape(&[5])]).expect_err("five of four");
    assert_eq!(format!("{wrong:?}"), wrong.to_string());
    let error = spiq::Error::input("a sentence");
    assert_eq!(format!("{error:?}"), "a sentence");
}
