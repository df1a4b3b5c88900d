//! Axonal delays: one for each neuron's output.

use spiq_hlo::{Tensor, custom_vjp, grad};

use super::shift::{PAST, behind_its_past, shifted, within_limits};
use crate::nn::arguments::{described, layer};
use crate::nn::layer::{Layer, features_alone};
use crate::nn::parameter::{Init, Parameter, State};
use crate::nn::step::Step;

layer! {
    /// Delays each channel by its own learned number of steps: `y_c(t) = x_c(t - d_c)`.
    ///
    /// `d` is the parameter rounded to whole steps, so that spikes stay 0 or 1. The backward pass does not round it: between
    /// two whole numbers of steps, the output counts as the linear interpolation of both outputs.
    ///
    /// Shapes: x [T, B, …, channels] to the same; parameter `delay` `[channels]`, kept from 0 to `max_delay`; state `past`
    /// [B, max_delay + 1, …, channels], the last steps. Units: time steps. Source: the axonal delays of SLAYER (Shrestha and
    /// Orchard 2018, arXiv:1810.08646), with the difference quotient between whole steps as the derivative.
    ///
    /// ```
    /// use spiq::nn::{Delay, Layer};
    /// let layer = Delay::new(64, 10);
    /// assert_eq!((layer.output(&[64]), layer.parameters()[0].dims.clone()), (Ok(vec![64]), vec![64]));
    /// ```
    pub struct Delay = "Delay" {
        needs {
            /// Size of the last axis.
            channels: usize,
            /// The largest delay, in time steps.
            max_delay: usize,
        }
        takes {
            /// The initial delay of all channels; without it, delays are drawn uniformly from 0 to `max_delay`.
            initial: Option<f64> = None,
            /// Whether training changes the delays.
            learn: bool = true,
        }
    }
}

impl Delay {
    /// Learned delays, drawn at random initially.
    pub fn new(channels: usize, max_delay: usize) -> Delay {
        Delay::with_defaults(channels, max_delay)
    }
}

impl Layer for Delay {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_max_delay(self.max_delay)?;
        match self.initial {
            Some(initial) if !(0.0..=self.max_delay as f64).contains(&initial) => {
                Err(("initial", format!("is {initial}, but must be from 0 to max_delay, {}", self.max_delay)))
            }
            _ => Ok(()),
        }
    }
    fn parameters(&self) -> Vec<Parameter> {
        let most = self.max_delay as f64;
        let init = self.initial.map_or(Init::Uniform(0.0, most), Init::Constant);
        vec![Parameter::new("delay", [self.channels], init).within(0.0, most)]
    }
    fn states(&self) -> Vec<State> {
        vec![State::new(PAST, [self.max_delay + 1, self.channels])]
    }
    fn takes(&self) -> Vec<usize> {
        vec![self.channels]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        features_alone(self.channels, input).map(|()| vec![self.channels])
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn spans_time(&self) -> bool {
        true
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        x.clone()
    }
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let most = self.max_delay;
        let known = behind_its_past(at, x, most + 1, 0);
        let delay = within_limits(&at.parameter("delay"), most);
        let whole = |known: &Tensor, delay: &Tensor| near(known, &delay.round_nearest_even(), most);
        if !self.learn || !x.dtype().is_float() {
            return whole(&known, &delay.stop_gradient());
        }
        custom_vjp(
            "delay",
            &(known, delay),
            |(known, delay)| whole(known, delay),
            |inputs, _, ct| grad(inputs, |(known, delay)| (ct * between(known, delay, most)).sum()),
        )
    }
}

/// Delays each channel of a sequence [most + 1 + T, …] by its own whole number of steps: [T, …].
#[track_caller]
fn near(known: &Tensor, steps: &Tensor, most: usize) -> Tensor {
    shifted(&known.slice_axis(0, 1, known.dims()[0]), steps, most)
}

/// The same for fractional delays, interpolated linearly between whole steps.
#[track_caller]
fn between(known: &Tensor, delay: &Tensor, most: usize) -> Tensor {
    let floor = delay.floor().stop_gradient();
    let part = delay - &floor;
    let near = near(known, &floor, most);
    // `known` starts one step before the input of `near`, so this result is one step later; its last step is surplus.
    let far = shifted(known, &floor, most).slice_axis(0, 0, near.dims()[0]);
    &near + (far - &near) * part
}

/// Checks a largest delay.
pub(super) fn check_max_delay(max_delay: usize) -> Result<(), (&'static str, String)> {
    const MOST: usize = 1 << 20;
    match (1..=MOST).contains(&max_delay) {
        true => Ok(()),
        false => Err(("max_delay", format!("is {max_delay}, but must be from 1 to {MOST} time steps"))),
    }
}
