//! Scans after differentiation, mapping, rewriting and simplification. These tests execute nothing.

use spiq_hlo::{
    Array, Cotangents, DType, Function, Infer, Node, Op, Reverse, Tensor, TensorType, checkpoint, custom_vjp, grad,
    scan, scan_checkpointed, trace, vjp, vmap,
};

fn f32(dims: &[usize]) -> TensorType {
    TensorType::new(DType::F32, dims)
}

fn traced(inputs: &[(&str, TensorType)], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Function {
    let function = trace(inputs, f).unwrap_or_else(|e| panic!("{e}"));
    verified(function)
}

fn verified(function: Function) -> Function {
    for stage in [&function, &function.simplify(), &function.lower().unwrap(), &function.lower().unwrap().simplify()] {
        stage.verify().unwrap_or_else(|e| panic!("{e}"));
    }
    function
}

fn bodies(node: &Node, function: &Function) -> Vec<Function> {
    let operands: Vec<TensorType> = node.operands.iter().map(|&v| function.ty(v).clone()).collect();
    node.op.regions(&operands)
}

fn scans(function: &Function) -> Vec<&Node> {
    function.nodes().iter().filter(|n| n.op.name() == "scan").collect()
}

/// The number of occurrences of an operation in a function, excluding bodies.
fn count(function: &Function, name: &str) -> usize {
    function.nodes().iter().filter(|n| n.op.name() == name).count()
}

fn types(types: &[TensorType]) -> Vec<String> {
    types.iter().map(TensorType::to_string).collect()
}

fn spike(v: &Tensor) -> Tensor {
    let step = |v: &Tensor| v.gt(0.0).convert(v.dtype());
    custom_vjp("spike", v, step, |v: &Tensor, _: &Tensor, ct: &Tensor| ct * (1.0 - v.abs()).maximum(0.0))
}

const INPUTS: [(&str, &[usize]); 3] = [("x", &[16, 8, 4]), ("w", &[4, 6]), ("beta", &[6])];

fn inputs() -> Vec<(&'static str, TensorType)> {
    INPUTS.iter().map(|(name, dims)| (*name, f32(dims))).collect()
}

/// Spikes [16, 8, 6] of leaky integrate-and-fire neurons.
fn lif(x: &[Tensor]) -> Tensor {
    let start = x[0].graph().zeros(f32(&[8, 6]));
    let step = |v: Tensor, row: Tensor| {
        let fired = spike(&(&v - 1.0));
        (&v * &x[2] + row.dot(&x[1]) - &fired, fired)
    };
    scan(&start, &x[0], step).1
}

#[test]
fn a_layer_of_neurons_saves_one_array() {
    let function = traced(&inputs(), |x| {
        let w = grad(&x[1], |w| lif(&[x[0].clone(), w.clone(), x[2].clone()]).sum());
        vec![w]
    });
    let simple = function.simplify();
    let scans = scans(&simple);
    assert_eq!(scans.len(), 2);
    // The final carry, which a scan always returns, and the membrane potential.
    assert_eq!(types(&scans[0].types), ["f32[8,6]", "f32[16,8,6]"]);
}

#[test]
fn outputs_that_are_read_stay_and_may_serve_the_way_back() {
    let function = traced(&inputs(), |x| {
        let w = x[1].identity();
        let spikes = lif(&[x[0].clone(), w.clone(), x[2].clone()]);
        let mut results = vjp(&[spikes.sum()], &[Some(x[0].graph().scalar(DType::F32, 1.0))], &[w]);
        results.push(spikes);
        results
    });
    assert_eq!(types(&scans(&function.simplify())[0].types), ["f32[8,6]", "f32[16,8,6]", "f32[16,8,6]"]);
}

#[test]
fn the_way_back_repeats_no_dot() {
    let function = traced(&inputs(), |x| {
        vec![grad(&x[1], |w| scan(&x[2], &x[0], |v, row| ((&v + row.dot(w)).tanh().reduce_sum([0]), v)).0.sum())]
    });
    let simple = function.simplify();
    let back = &bodies(scans(&simple)[1], &simple)[0];
    // One dot computes the weights' gradient, after the loop; the gradient of the rows is not requested.
    assert_eq!((count(back, "dot_general"), count(&simple, "dot_general")), (0, 1));
}

/// Products of floats in a function, including bodies.
fn products(function: &Function) -> usize {
    let mut products = 0;
    function.each_node(&mut |node, _| products += usize::from(node.op.name() == "dot_general"));
    products
}

/// Spikes [16, 8, 6] of neurons that receive the spikes of the step before through `u`, as often as `uses` says.
fn recurrent(x: &[Tensor], u: &Tensor, uses: usize) -> Tensor {
    let start = x[0].graph().zeros(f32(&[8, 6]));
    let step = |(v, fired): (Tensor, Tensor), row: Tensor| {
        let received = (0..uses).fold(row.dot(&x[1]), |sum, _| sum + (&fired * &v).dot(u));
        let fired = spike(&(&v - 1.0));
        ((&v * &x[2] + received - &fired, fired.clone()), fired)
    };
    scan(&(start.clone(), start), &x[0], step).1
}

#[test]
fn products_of_weights_gradients_leave_the_loop() {
    for uses in [1, 2] {
        let with_u: Vec<_> = inputs().into_iter().chain([("u", f32(&[6, 6]))]).collect();
        let function = traced(&with_u, |x| {
            let (w, u) = grad(&(x[1].identity(), x[3].identity()), |(w, u)| {
                recurrent(&[x[0].clone(), w.clone(), x[2].clone()], u, uses).sum()
            });
            vec![w, u]
        });
        let simple = function.simplify();
        let back = &bodies(scans(&simple)[1], &simple)[0];
        // Only the cotangent of the spikes is computed in each step, once for every use (equal ones are merged).
        assert_eq!((products(back), count(back, "dot_general")), (1, 1));
        // Two uses have equal factors here, and so one product serves both.
        let after: Vec<&Node> = simple.nodes().iter().filter(|n| n.op.name() == "dot_general").collect();
        assert_eq!(after.len(), 2);
        for node in after {
            let [left, right] = [0, 1].map(|i| simple.ty(node.operands[i]).dims[0]);
            assert_eq!([left, right], [16 * 8, 16 * 8], "{:?}", node.types);
        }
    }
}

#[test]
fn a_gradient_that_is_a_sum_stays_in_the_loop() {
    let function = traced(&inputs(), |x| {
        vec![grad(&x[2].identity(), |beta| lif(&[x[0].clone(), x[1].clone(), beta.clone()]).sum())]
    });
    let simple = function.simplify();
    assert_eq!(types(&scans(&simple)[1].types), ["f32[8,6]", "f32[8,6]"]);
}

/// The product `vᵀ (v ∘ r)` of a step has a factor of 1000 rows that the loop does not keep otherwise.
#[test]
fn factors_that_need_more_memory_than_the_loop_keep_their_product_inside() {
    let check = |rows: usize, inside: usize| {
        let types = [("x", f32(&[16, 1])), ("w", f32(&[2, 3])), ("v", f32(&[rows, 2]))];
        let function = traced(&types, |x| {
            let weights = grad(&x[1].identity(), |w| {
                let step = |c: Tensor, row: Tensor| {
                    let grown = (&x[2] * &row.reshape(&[])).exp();
                    (&c + grown.dot(w).sum(), c)
                };
                scan(&x[2].graph().zeros(f32(&[])), &x[0], step).0
            });
            vec![weights]
        });
        let simple = function.simplify();
        // The forward loop is not needed.
        let back = &bodies(scans(&simple)[0], &simple)[0];
        assert_eq!(products(back), inside, "{rows} rows");
    };
    check(1000, 1);
}

/// A loop over segments keeps no factors of the steps in its segments.
#[test]
fn segments_compute_products_of_their_own_steps() {
    let function = traced(&inputs(), |x| {
        vec![grad(&x[1].identity(), |w| lif_in_segments(&[x[0].clone(), w.clone(), x[2].clone()], Some(4)).sum())]
    });
    let simple = function.simplify();
    let back = scans(&simple)[1];
    let body = &bodies(back, &simple)[0];
    assert_eq!((count(&simple, "dot_general"), count(body, "dot_general")), (0, 1));
    // The cotangents of the carry and of the weights.
    assert_eq!(types(&back.types), ["f32[8,6]", "f32[4,6]"]);
}

#[test]
fn what_a_body_does_to_outer_values_alone_is_recorded_outside() {
    let function = traced(&inputs(), |x| {
        let start = x[0].graph().zeros(f32(&[8, 6]));
        let step = |v: Tensor, row: Tensor| (&v * x[2].logistic() + row.dot(&x[1].round_nearest_even()), v);
        vec![scan(&start, &x[0], step).1]
    });
    let body = &bodies(scans(&function)[0], &function)[0];
    assert_eq!((count(&function, "logistic"), count(body, "logistic")), (1, 0));
    assert_eq!((count(&function, "round_nearest_even"), count(body, "round_nearest_even")), (1, 0));
}

#[test]
fn captures_pass_through_two_scans() {
    let function = traced(&inputs(), |x| {
        let outer = scan(&x[2], &x[0], |total, rows| {
            let (inner, _) = scan(&total, &rows, |c, row| (&c * &x[2] + row.dot(&x[1]), c));
            (inner.clone(), inner)
        });
        vec![outer.1]
    });
    let outer = scans(&function)[0];
    let body = &bodies(outer, &function)[0];
    // beta and w are constants of the outer scan and reach the inner one from there, each once.
    assert_eq!(outer.operands.len(), 4);
    assert_eq!(scans(body)[0].operands.len(), 4);
}

#[test]
fn code_that_a_rewrite_adds_leaves_the_loop_where_it_can() {
    let function = traced(&inputs(), |x| vec![lif(x)]);
    let rounded = function.transform(&mut |node, operands| {
        let [lhs, rhs] = operands else { return None };
        (node.op.name() == "dot_general").then(|| vec![lhs.dot(&rhs.round_nearest_even())])
    });
    let rounded = verified(rounded.unwrap());
    let body = &bodies(scans(&rounded)[0], &rounded)[0];
    assert_eq!((count(&rounded, "round_nearest_even"), count(body, "round_nearest_even")), (1, 0));
    assert_eq!(rounded.result_types(), function.result_types());
}

#[test]
fn one_scan_is_differentiated_twice() {
    let function = traced(&inputs(), |x| {
        let spikes = lif(x);
        let one = x[0].graph().scalar(DType::F32, 1.0);
        let first = vjp(&[spikes.sum()], &[Some(one.clone())], &[x[1].clone()]);
        let second = vjp(&[(&spikes * &spikes).sum()], &[Some(one)], &[x[2].clone(), x[0].clone()]);
        [first, second].concat()
    });
    assert_eq!(types(&function.result_types()), ["f32[4,6]", "f32[6]", "f32[16,8,4]"]);
    // One forward loop, two backward loops.
    assert_eq!(scans(&function.simplify()).len(), 3);
}

#[test]
fn a_gradient_of_a_gradient_of_a_scan_is_a_function() {
    let function = traced(&inputs(), |x| {
        let decay = |beta: &Tensor| scan(&x[1].index_axis(0, 0), &x[0], |v, row| ((&v * beta).tanh() + row.sum(), v)).1;
        vec![grad(&x[2], |beta| grad(beta, |beta| decay(beta).sum()).sum())]
    });
    assert_eq!(types(&function.result_types()), ["f32[6]"]);
}

#[test]
fn what_nobody_reads_of_a_scan_goes() {
    let function = traced(&inputs(), |x| {
        let start = (x[2].clone(), x[2].clone(), x[2].clone());
        let step = |(a, b, c): (Tensor, Tensor, Tensor), (row, other): (Tensor, Tensor)| {
            // a depends on itself, b depends on a, and c is needed only by the unused output.
            let sum = &a + &b + row.sum();
            ((sum.clone(), b.exp(), &c * other.dot(&x[1]).sum()), (sum, c))
        };
        let ((_, _, _), (kept, _)) = scan(&start, &(x[0].clone(), &x[0] * 2.0), step);
        vec![kept]
    });
    let simple = function.simplify();
    let scan = scans(&simple)[0];
    assert_eq!(types(&scan.types), ["f32[6]", "f32[6]", "f32[16,6]"]);
    // Two carries and one sequence; w and the doubled rows are gone.
    assert_eq!(scan.operands.len(), 3);
    assert_eq!(count(&simple, "multiply"), 0);
    simple.verify().unwrap();
}

#[test]
fn equal_nodes_in_bodies_are_merged() {
    let function = traced(&inputs(), |x| vec![scan(&x[2], &x[0], |v, _| (v.exp() + v.exp(), v)).0]);
    let simple = function.simplify();
    assert_eq!(count(&bodies(scans(&function)[0], &function)[0], "exponential"), 2);
    assert_eq!(count(&bodies(scans(&simple)[0], &simple)[0], "exponential"), 1);
}

#[test]
fn a_mapped_scan_is_one_scan() {
    let function = traced(&inputs(), |x| {
        let rows = vmap(&x[0], |rows: Tensor| scan(&x[2], &rows, |v, row| (&v * 0.5 + row.dot(&x[1]), v)).1);
        vec![rows]
    });
    assert_eq!(scans(&function).len(), 1);
    assert_eq!(types(&function.result_types()), ["f32[16,8,6]"]);
}

/// Membrane potentials of the neurons of [`lif`] for `x`, with the steps in segments of a checkpointed scan.
fn lif_in_segments(x: &[Tensor], segment: Option<usize>) -> Tensor {
    let start = x[0].graph().zeros(f32(&[8, 6]));
    let step = |v: Tensor, row: Tensor| {
        let fired = spike(&(&v - 1.0));
        (&v * &x[2] + row.dot(&x[1]) - &fired, ())
    };
    scan_checkpointed(&start, &x[0], segment, step).0
}

/// Leading sizes of all stacked outputs of a function's loops, including nested ones.
fn kept(function: &Function) -> Vec<usize> {
    let stacks = |node: &&Node| node.types.iter().filter(|ty| ty.rank() == 3).map(|ty| ty.dims[0]).collect::<Vec<_>>();
    let inner = |node: &&Node| bodies(node, function).iter().flat_map(kept).collect::<Vec<_>>();
    scans(function).iter().flat_map(|n| [stacks(n), inner(n)].concat()).collect()
}

#[test]
fn a_checkpointed_scan_keeps_the_square_root_of_its_steps() {
    let gradient = |segment| {
        let inputs = [("x", f32(&[64, 8, 4])), ("w", f32(&[4, 6])), ("beta", f32(&[6]))];
        let function = traced(&inputs, |x| {
            let loss = |w: &Tensor| lif_in_segments(&[x[0].clone(), w.clone(), x[2].clone()], segment).sum();
            vec![grad(&x[1], loss)]
        });
        function.simplify()
    };
    // Carries f32[8,6]: one per eighth step, then those of the one segment that is rerun, and their cotangents, a factor of the weights'
    // gradient.
    assert_eq!(kept(&gradient(None)), [8, 8, 8]);
    assert_eq!(kept(&gradient(Some(4))), [16, 4, 4]);
    // 64 steps are six segments of 10, each stored by its first carry, and four more steps.
    assert_eq!(kept(&gradient(Some(10))), [6, 4, 4, 10, 10]);
    assert_eq!(kept(&gradient(Some(64))), [64, 64]);
}

#[test]
fn a_whole_function_is_checkpointed_before_it_is_differentiated() {
    let inputs = [("x", f32(&[64, 8, 4])), ("w", f32(&[4, 6])), ("beta", f32(&[6]))];
    let forward = traced(&inputs, |x| vec![lif_in_segments(x, Some(64))]);
    let forward = verified(forward.checkpoint_scans(None).unwrap());
    let gradient = traced(&inputs, |x| {
        vec![grad(&x[1], |w| forward.call(w.graph(), &[x[0].clone(), w.clone(), x[2].clone()]).swap_remove(0).sum())]
    });
    assert_eq!(kept(&gradient.simplify()), [8, 8, 8]);
}

#[test]
fn a_checkpoint_keeps_its_inputs_alone() {
    // The backward pass of a step reads exp(v) and tanh(v . w), unless they are rematerialized.
    let saved = |again: bool| {
        let function = traced(&inputs(), |x| {
            let w = x[1].t().dot(&x[1]);
            let step = |v: &Tensor| v.exp() + v.dot(&w).tanh() * v.reduce_sum([0]);
            let loss = |v: &Tensor| scan(v, &x[0], |v, _| (if again { checkpoint(&v, step) } else { step(&v) }, ())).0;
            vec![grad(&x[0].reduce_sum([0]).dot(&x[1]), |v| loss(v).sum())]
        });
        types(&scans(&function.simplify())[0].types)
    };
    assert_eq!(saved(true), ["f32[8,6]", "f32[16,8,6]"]);
    assert_eq!(saved(false).len(), 4, "{:?}", saved(false));
}

/// A carry with a cotangent that reaches no differentiated value, and a sequence that reaches no output.
#[test]
fn a_scan_that_passes_no_cotangent_on_has_none() {
    let (c, xs) = (TensorType::new(DType::F32, []), TensorType::new(DType::F32, [3]));
    let f = trace(&[("c", c), ("x", xs)], |x| vec![grad(&x[1], |at| scan(&x[0], at, |c, x| (c * 2.0, x)).0)]);
    assert_eq!(f.unwrap_or_else(|e| panic!("{e}")).result_types()[0].to_string(), "f32[3]");
}

/// The body of the second loop may be allocated at the address of the first one, with its constant at the same index.
#[test]
fn constants_of_two_bodies_are_not_confused() {
    let function = traced(&inputs(), |x| {
        let times = |factor: f64| {
            scan(&x[2], &x[0], |c: Tensor, _| {
                let y = &x[2] * c.full_like(factor);
                (c, y)
            })
            .1
        };
        vec![times(2.0), times(3.0)]
    });
    let simple = function.simplify();
    assert_ne!(simple.results()[0], simple.results()[1], "{}", simple.stablehlo("f", &Default::default()));
    assert_eq!(count(&simple, "multiply"), 2);
}

/// The gradient of a step with respect to an outer value: operations on outer values alone, forward and backward, are computed once.
#[test]
fn what_a_gradient_in_a_body_does_to_outer_values_alone_is_recorded_outside() {
    let function = traced(&inputs(), |x| {
        let step = |c: Tensor, rows: Tensor| {
            let slope = grad(&x[1], |w| (rows.dot(&w.tanh()) * &x[2].exp()).sum());
            (c, slope)
        };
        vec![scan(&x[2], &x[0], step).1]
    });
    let simple = function.simplify();
    let body = &bodies(scans(&simple)[0], &simple)[0];
    for name in ["tanh", "exponential", "subtract"] {
        assert_eq!((count(&simple, name), count(body, name)), (1, 0), "{name}");
    }
    // The product of the step is not needed for its gradient; the product of the gradient is.
    assert_eq!(count(body, "dot_general"), 1);
}

#[test]
fn a_scan_of_no_steps_is_no_loop() {
    let given = [("c", f32(&[6])), ("x", f32(&[0, 6])), ("w", f32(&[6]))];
    let step = |w: &Tensor| {
        let w = w.clone();
        move |c: Tensor, row: Tensor| (&c * &w + &row, (row.clone(), row.sum()))
    };
    let plain = traced(&given, |x| {
        let (c, (rows, sums)) = scan(&x[0], &x[1], step(&x[2]));
        vec![c, rows, sums]
    });
    assert_eq!(types_of(&plain), ["f32[6]", "f32[0,6]", "f32[0]"]);
    assert_eq!((scans(&plain).len(), plain.results()[0]), (0, plain.input(0)));
    let segments = traced(&given, |x| vec![scan_checkpointed(&x[0], &x[1], None, step(&x[2])).0]);
    assert_eq!(segments.results()[0], segments.input(0));
    let mapped = traced(&[("c", f32(&[3, 6])), ("x", f32(&[3, 0, 6])), ("w", f32(&[6]))], |x| {
        vec![vmap(&(x[0].clone(), x[1].clone()), |(c, rows)| scan(&c, &rows, step(&x[2])).1.0)]
    });
    assert_eq!(types_of(&mapped), ["f32[3,0,6]"]);
    let back = traced(&given, |x| grad(&x.to_vec(), |x| scan(&x[0], &x[1], step(&x[2])).0.sum()));
    assert_eq!(types_of(&back), ["f32[6]", "f32[0,6]", "f32[6]"]);
}

fn types_of(function: &Function) -> Vec<String> {
    types(&function.result_types())
}

/// An operation defined by another library that contains an array and does not implement comparison itself.
#[derive(Debug, PartialEq)]
struct Lookup(Array);

impl Op for Lookup {
    fn name(&self) -> &'static str {
        "lookup"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        Ok(operands.to_vec())
    }
    fn vjp(&self, _: &Reverse) -> Cotangents {
        vec![None]
    }
}

#[test]
fn operations_that_differ_in_the_last_number_of_an_array_are_not_merged() {
    // `Debug` of an array prints eight numbers.
    let table = |last: f32| Array::new([9], [[1.0; 8].as_slice(), &[last]].concat()).expect("nine numbers");
    let function = trace(&[("x", TensorType::new(DType::F32, [2]))], |x| {
        let graph = x[0].graph();
        [2.0, 3.0, 2.0].map(|last| graph.apply(Lookup(table(last)), &[&x[0]])).to_vec()
    });
    let simple = function.expect("sound").simplify();
    assert_eq!(simple.nodes().iter().filter(|node| node.op.name() == "lookup").count(), 2);
}
