//! Transforms and loops, by name: instructions that contain functions.

use spiq::{Tensor, custom_vjp, grad, scan, value_and_grad, vjp, vmap};
use spiq_hlo::{associative_scan, checkpoint, scan_checkpointed, switch, while_loop};

use super::attributes::Attributes;
use super::frame::Frame;

/// Applies a transform; `None` if the name is not a transform's.
pub fn apply(frame: &Frame, name: &str, x: &[Tensor], a: &Attributes) -> Option<Vec<Tensor>> {
    let body = |name: &str| {
        let body = a.body(name);
        move |x: &[Tensor]| frame.call(&body, x)
    };
    let x = x.to_vec();
    Some(match name {
        "grad" => grad(&x, |x| body("body")(x).swap_remove(0)),
        "value_and_grad" => {
            let ((value, ()), slopes) = value_and_grad(&x, |x| (body("body")(x).swap_remove(0), ()));
            [vec![value], slopes].concat()
        }
        "vjp" => pullback(&x, a.size("wrt"), body("body")),
        "vmap" => vmap(&x, |x: Vec<Tensor>| body("body")(&x)),
        "checkpoint" => checkpoint(&x, |x: &Vec<Tensor>| body("body")(x)),
        "scan" | "scan_checkpointed" => looped(&x, name == "scan_checkpointed", a, body("body")),
        "while" => while_loop(&x, |s| body("condition")(s).swap_remove(0), |s| body("body")(&s)),
        "switch" => chosen(frame, &x[0], a),
        "associative_scan" => {
            let f = body("body");
            associative_scan(&x, a.flag("reverse"), |a: &Vec<Tensor>, b| f(&[&a[..], b].concat()))
        }
        "custom_vjp" => custom_vjp(
            "custom_vjp",
            &x,
            |x: &Vec<Tensor>| body("forward")(x),
            |x, y, ct| body("backward")(&[&x[..], y, ct].concat()),
        ),
        _ => return None,
    })
}

/// The outputs, then the cotangents with respect to the first `wrt` tensors.
fn pullback(x: &[Tensor], wrt: usize, f: impl Fn(&[Tensor]) -> Vec<Tensor>) -> Vec<Tensor> {
    let (at, cotangents) = x.split_at(wrt);
    let fresh: Vec<Tensor> = at.iter().map(Tensor::identity).collect();
    let outputs = f(&fresh);
    let given: Vec<Option<Tensor>> = cotangents.iter().cloned().map(Some).collect();
    let slopes = vjp(&outputs, &given, &fresh);
    [outputs, slopes].concat()
}

fn looped(x: &[Tensor], checkpointed: bool, a: &Attributes, f: impl Fn(&[Tensor]) -> Vec<Tensor>) -> Vec<Tensor> {
    let (init, xs) = x.split_at(a.size("carries"));
    let (init, xs) = (init.to_vec(), xs.to_vec());
    let step = |carry: Vec<Tensor>, slices: Vec<Tensor>| {
        let count = carry.len();
        let mut results = f(&[carry, slices].concat());
        let stacked = results.split_off(count);
        (results, stacked)
    };
    let (carry, stacked) = match checkpointed {
        true => scan_checkpointed(&init, &xs, Some(a.size("segment")), step),
        false => scan(&init, &xs, step),
    };
    [carry, stacked].concat()
}

fn chosen(frame: &Frame, index: &Tensor, a: &Attributes) -> Vec<Tensor> {
    let branches = a.bodies("branches");
    let branch = |body| Box::new(move || frame.call(body, &[])) as Box<dyn FnOnce() -> Vec<Tensor> + '_>;
    switch(index, branches.iter().map(branch).collect())
}
