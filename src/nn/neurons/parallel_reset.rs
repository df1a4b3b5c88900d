//! The leaky integrate-and-fire neuron over all steps at once, including resets.

use spiq_hlo::{Tensor, Violation, associative_scan, concatenate, custom_vjp};

use super::decay::clipped;
use super::leaky_integrate_and_fire::Lif;
use super::options::{Fires, Reset};

impl Lif {
    /// The spikes of all steps at once, from potentials of zero, and whether they are those of a step-by-step run (`pred`).
    ///
    /// Resets make the potentials depend on earlier spikes. So spikes are guessed, and each round recomputes potentials and
    /// spikes from those of the previous round: after k rounds the first k steps are correct, and a round that changes nothing
    /// has reached the fixed point. That is the result of a step-by-step run, except for rounding: the potentials are summed in
    /// another order. Each round is a chain of operations whose length is logarithmic in the number of steps. **If the flag is
    /// false, the spikes are not those of these neurons**: use more rounds, at most one more than steps.
    ///
    /// If the flag is true, the gradient is that of a step-by-step run, however few rounds there are. (Spyx's gradient goes
    /// back through its rounds: with fewer rounds than steps it omits the contributions from further back.)
    ///
    /// Shapes: beta [hidden_shape…] or a scalar, x [T, B, hidden_shape…], to spikes of x's shape and a scalar. Source:
    /// `spyx.experimental.ParallelResetLIF.parallel`; arXiv:2506.12087.
    ///
    /// # Errors
    /// Recorded in the trace: zero rounds; arguments other than `threshold`, `activation` and `beta` that differ from their
    /// defaults.
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
        // Step by step, a change of V changes the next V by beta minus the threshold times the spike's derivative: this is
        // again linear, around potentials that are now known.
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

    /// Spikes and potentials after these rounds, and whether the last round changed no spike.
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
            return Err("computes all steps at once only for neurons with a subtracting reset and no other option; \
                        run these step by step"
                .into());
        }
        if rounds == 0 { Err("needs at least one round".into()) } else { Ok(()) }
    }
}

/// Leaky sums of the inputs before each step: zero at the first.
#[track_caller]
fn before_each(beta: &Tensor, x: &Tensor) -> Tensor {
    // A step is V ↦ aV + b; two consecutive steps have the same form.
    let in_a_row = |(a, b): &(Tensor, Tensor), (c, d): &(Tensor, Tensor)| (a * c, b * c + d);
    let (_, sums) = associative_scan(&(beta.clone(), x.clone()), false, in_a_row);
    let steps = x.dims()[0];
    let first = sums.slice_axis(0, 0, 1).zeros_like();
    concatenate(&[&first, &sums.slice_axis(0, 0, steps - 1)], 0)
}
