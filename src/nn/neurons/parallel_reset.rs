//! The leaky integrate-and-fire neuron over all steps at once, reset included. Knows nothing of other neurons.

use spiq_hlo::{Tensor, Violation, associative_scan, concatenate, custom_vjp};

use super::decay::clipped;
use super::leaky_integrate_and_fire::Lif;
use super::options::{Fires, Reset};

impl Lif {
    /// The spikes of all steps at once, from potentials of zero, and whether they are those of a run step by step (`pred`).
    ///
    /// Resets make the potentials depend on earlier spikes. So spikes are guessed, and each round computes potentials and spikes
    /// anew from those of the round before: the first k steps are right after k rounds, and a round that changes nothing has
    /// reached what a run step by step gives, but for the rounding of potentials, whose sums go in another order. Each round takes
    /// as many operations one after the other as the logarithm of the number of steps. **Where the flag is false, spikes are not
    /// those of these neurons**: use more rounds, at most one more than steps.
    ///
    /// The gradient is that of a run step by step, however few rounds there are, where the flag is true. (That of Spyx goes back
    /// through its rounds: with fewer rounds than steps it leaves out what reaches back farther.)
    ///
    /// Shapes: beta [hidden_shape…] or a scalar, x [T, B, hidden_shape…], to spikes of x's shape and a scalar. Source:
    /// `spyx.experimental.ParallelResetLIF.parallel`; arXiv:2506.12087.
    ///
    /// # Errors
    /// Kept in the trace: no round; arguments beyond `threshold`, `activation` and `beta` that are not the defaults.
    ///
    /// ```
    /// use spiq::nn::Lif;
    /// use spiq_hlo::{DType, TensorType, trace};
    /// let inputs = [("beta", TensorType::new(DType::F32, [64])), ("x", TensorType::new(DType::F32, [100, 8, 64]))];
    /// let f = trace(&inputs, |x| {
    ///     let (spikes, settled) = Lif::new([64]).parallel(&x[0], &x[1], 8);
    ///     vec![spikes, settled]
    /// })?;
    /// assert_eq!(f.result_types()[0].to_string(), "f32[100,8,64]");
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[doc(alias = "ParallelResetLIF")]
    #[track_caller]
    pub fn parallel(&self, beta: &Tensor, x: &Tensor, rounds: usize) -> (Tensor, Tensor) {
        if let Err(message) = self.has_a_parallel_form(rounds) {
            let poison = x.graph().fail("parallel", Violation::new("", message));
            return (poison.clone(), poison);
        }
        let beta = clipped(beta).broadcast_to(x.dims());
        let (spikes, potentials, settled) = self.settled(&beta.stop_gradient(), &x.stop_gradient(), rounds);
        // Step by step, a change of V moves V's successor by beta less the threshold times the spike's derivative: linear again,
        // around the potentials that are known now.
        let slope = self.activation.derivative(&(&potentials - self.threshold)).stop_gradient();
        let fall = self.threshold * (&spikes - &slope * &potentials);
        let around = before_each(&(beta - self.threshold * &slope), &(x - fall.stop_gradient()));
        let known = (around, spikes, slope);
        let given = |(_, spikes, _): &(Tensor, Tensor, Tensor)| spikes.clone();
        let back = |(_, spikes, slope): &(Tensor, Tensor, Tensor), ct: &Tensor| {
            (ct * slope, spikes.zeros_like(), slope.zeros_like())
        };
        (custom_vjp("spike", &known, |known| given(known), |known, _: &Tensor, ct| back(known, ct)), settled)
    }

    /// Spikes and potentials after these rounds, and whether the last one changed no spike.
    #[track_caller]
    fn settled(&self, beta: &Tensor, x: &Tensor, rounds: usize) -> (Tensor, Tensor, Tensor) {
        let fired = |potentials: &Tensor| self.activation.spike(&(potentials - self.threshold)).stop_gradient();
        let without_reset = before_each(beta, x);
        let mut spikes = fired(&without_reset);
        let mut last = (without_reset.clone(), spikes.clone());
        for _ in 0..rounds {
            let potentials = &without_reset - before_each(beta, &(&spikes * self.threshold));
            last = (potentials, spikes);
            spikes = fired(&last.0);
        }
        let axes: Vec<usize> = (0..x.rank()).collect();
        let changed = (&spikes - &last.1).abs().reduce_max(&axes);
        (spikes, last.0, changed.eq(0.0))
    }

    fn has_a_parallel_form(&self, rounds: usize) -> Result<(), String> {
        let plain = self.reset == Reset::Subtract && self.fires == Fires::Before;
        let none = !self.recurrent && !self.learn_threshold && self.refractory.is_none() && !self.detach_reset;
        if !(plain && none) || self.decay_input {
            return Err(
                "computes all steps at once only for neurons with a reset that subtracts and no other option; \
                        run these step by step"
                    .into(),
            );
        }
        if rounds == 0 { Err("wants at least one round".into()) } else { Ok(()) }
    }
}

/// Sums that leak, of the inputs before each step: zero at the first.
#[track_caller]
fn before_each(beta: &Tensor, x: &Tensor) -> Tensor {
    // A step is V ↦ aV + b; two of them in a row are such a step again.
    let in_a_row = |(a, b): &(Tensor, Tensor), (c, d): &(Tensor, Tensor)| (a * c, b * c + d);
    let (_, sums) = associative_scan(&(beta.clone(), x.clone()), false, in_a_row);
    let steps = x.dims()[0];
    let first = sums.slice_axis(0, 0, 1).zeros_like();
    concatenate(&[&first, &sums.slice_axis(0, 0, steps - 1)], 0)
}
