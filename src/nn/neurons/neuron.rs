//! Shared parts of all neurons that fire: thresholds, resets, refractory periods, recurrence, and the order of a step.

use spiq_hlo::Tensor;

use super::options::{Fires, RecurrentInit, Reset};
use super::recurrence::{feedback, recurrent_parameter};
use super::surrogate::Surrogate;
use crate::nn::parameter::{Init, Parameter, State};
use crate::nn::step::Step;

/// The state that counts down the steps until a neuron may fire again.
const REST: &str = "refractory";
/// The name of the parameter for learned thresholds.
const THRESHOLD: &str = "threshold";
/// The largest integer up to which f32 is exact.
const LONGEST: usize = 1 << 24;

/// The arguments that every kind of neuron takes.
pub(super) struct Shared<'a> {
    pub shape: &'a [usize],
    pub threshold: f64,
    pub activation: &'a Surrogate,
    pub reset: Reset,
    pub detach_reset: bool,
    pub learn_threshold: bool,
    pub refractory: Option<usize>,
    pub fires: Fires,
    pub recurrent: bool,
    pub recurrent_init: RecurrentInit,
}

/// The parts that differ between kinds of neurons.
pub(super) trait Neuron {
    /// The names of its states, the potential first.
    const STATES: &'static [&'static str];
    /// The number of states, from the first, that are held while a neuron is refractory.
    const HELD: usize = 1;

    /// The arguments that every kind of neuron takes.
    fn shared(&self) -> Shared<'_>;

    /// Checks its own arguments.
    fn own_check(&self) -> Result<(), (&'static str, String)>;

    /// Its own parameters, in the order in which they draw keys.
    fn own_parameters(&self) -> Vec<Parameter>;

    /// The threshold in effect, given the one that is set or learned.
    #[track_caller]
    fn level(&self, threshold: Tensor, _: &[Tensor]) -> Tensor {
        threshold
    }

    /// How far the neurons are above that threshold.
    #[track_caller]
    fn above(&self, level: &Tensor, states: &[Tensor]) -> Tensor {
        &states[0] - level
    }

    /// The next states, in the order of `STATES`.
    fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor>;
}

/// A layer of neurons at one step: its previous states, its input, and which of its neurons fire.
pub(super) struct Moment<'a, 'b> {
    at: &'a Step<'b>,
    reset: Reset,
    /// The states, in the order of `Neuron::STATES`.
    pub states: Vec<Tensor>,
    /// The threshold in effect.
    pub level: Tensor,
    /// 1 for each neuron that fires, else 0.
    pub spikes: Tensor,
    /// The same for resets, detached if requested.
    taken: Tensor,
    x: &'a Tensor,
    recurrent: bool,
}

impl Moment<'_, '_> {
    /// A parameter of the layer.
    #[track_caller]
    pub fn parameter(&self, name: &str) -> Tensor {
        self.at.parameter(name)
    }

    /// The input plus recurrent input.
    #[track_caller]
    pub fn input(&self) -> Tensor {
        self.with_feedback(self.x.clone())
    }

    /// `carried` plus the input, then plus recurrent input.
    #[track_caller]
    pub fn input_onto(&self, carried: Tensor) -> Tensor {
        self.with_feedback(carried + self.x)
    }

    #[track_caller]
    fn with_feedback(&self, sum: Tensor) -> Tensor {
        if self.recurrent { sum + feedback(self.at, &self.spikes) } else { sum }
    }

    /// The potential after resets. `share` is the fraction of the threshold that a spike subtracts, by default all of it.
    #[track_caller]
    pub fn after_reset(&self, potential: &Tensor, share: Option<f64>) -> Tensor {
        match self.reset {
            Reset::Subtract => {
                let fall = &self.taken * &self.level;
                potential - share.map_or_else(|| fall.clone(), |share| share * &fall)
            }
            Reset::Zero => potential * (1.0 - &self.taken),
            Reset::None => potential.clone(),
        }
    }

    /// The potential decayed by `beta`, plus the input. A subtractive reset is applied last, as in Spyx and snnTorch; any other
    /// reset is applied to the previous potential.
    #[track_caller]
    pub fn leaked(&self, beta: Option<&Tensor>, decay_input: bool) -> Tensor {
        let last = self.reset == Reset::Subtract;
        let kept = if last { self.states[0].clone() } else { self.after_reset(&self.states[0], None) };
        let carried = beta.map_or_else(|| kept.clone(), |beta| beta * &kept);
        let potential = match beta.filter(|_| decay_input) {
            Some(beta) => carried + (1.0 - beta) * self.input(),
            None => self.input_onto(carried),
        };
        if last { self.after_reset(&potential, None) } else { potential }
    }
}

/// Checks the arguments of neurons.
pub(super) fn check(neuron: &impl Neuron) -> Result<(), (&'static str, String)> {
    let shared = neuron.shared();
    if shared.detach_reset && shared.reset == Reset::None {
        return Err(("detach_reset", "is true, but reset = \"none\" leaves nothing to detach; set it to false".into()));
    }
    if let Some(steps) = shared.refractory.filter(|steps| !(1..=LONGEST).contains(steps)) {
        return Err(("refractory", format!("is {steps}, but must be a number of steps from 1 to {LONGEST}")));
    }
    if !shared.recurrent && shared.recurrent_init != RecurrentInit::Small {
        let reason =
            "initializes recurrent weights, which the layer does not have; set recurrent = true, or leave it out";
        return Err(("recurrent_init", reason.into()));
    }
    neuron.own_check()
}

/// The parameters: recurrent weights first, which draw a key, thresholds last, which draw none.
pub(super) fn parameters(neuron: &impl Neuron) -> Vec<Parameter> {
    let shared = neuron.shared();
    let recurrent = shared.recurrent.then(|| recurrent_parameter(shared.shape, shared.recurrent_init));
    let learned = || Parameter::new(THRESHOLD, shared.shape, Init::Constant(shared.threshold));
    recurrent.into_iter().chain(neuron.own_parameters()).chain(shared.learn_threshold.then(learned)).collect()
}

/// The states.
pub(super) fn states<N: Neuron>(neuron: &N) -> Vec<State> {
    let shared = neuron.shared();
    let names = N::STATES.iter().copied().chain(shared.refractory.map(|_| REST));
    names.map(|name| State::new(name, shared.shape)).collect()
}

/// One time step.
#[track_caller]
pub(super) fn step<N: Neuron>(neuron: &N, at: &mut Step<'_>, x: &Tensor) -> Tensor {
    let shared = neuron.shared();
    let states: Vec<Tensor> = N::STATES.iter().map(|name| at.state(name)).collect();
    let rest = shared.refractory.map(|steps| (steps, at.state(REST)));
    let threshold = match shared.learn_threshold {
        true => at.parameter(THRESHOLD),
        false => states[0].full_like(shared.threshold),
    };
    let level = neuron.level(threshold.clone(), &states);
    let spikes = fired(neuron, &level, &states, rest.as_ref().map(|(_, rest)| rest));
    let now = Moment {
        at,
        reset: shared.reset,
        taken: if shared.detach_reset { spikes.stop_gradient() } else { spikes.clone() },
        recurrent: shared.recurrent,
        states,
        level,
        spikes,
        x,
    };
    let mut next = neuron.advance(&now);
    let Moment { states, spikes, .. } = now;
    let rest = rest.map(|(steps, rest)| {
        let rests = rest.gt(0.0);
        for (next, held) in next.iter_mut().zip(&states).take(N::HELD) {
            *next = rests.select(held, next);
        }
        // The counter has no gradient.
        spikes.gt(0.0).select(&rest.full_like(steps as f64), &(rest - 1.0).maximum(0.0))
    });
    let output = match shared.fires {
        Fires::Before => spikes,
        Fires::After => fired(neuron, &neuron.level(threshold, &next), &next, rest.as_ref()),
    };
    for (name, state) in N::STATES.iter().copied().zip(next).chain(rest.map(|rest| (REST, rest))) {
        at.set_state(name, state);
    }
    output
}

/// Which neurons fire: those above their threshold that are not refractory.
#[track_caller]
fn fired(neuron: &impl Neuron, level: &Tensor, states: &[Tensor], rest: Option<&Tensor>) -> Tensor {
    let spikes = neuron.shared().activation.spike(&neuron.above(level, states));
    rest.map_or_else(|| spikes.clone(), |rest| rest.gt(0.0).select(&spikes.zeros_like(), &spikes))
}

/// Declares a kind of neuron: its own arguments, then which potential its spikes are computed from, its reset, whether that is
/// detached, and its surrogate. Adds the arguments that every kind takes, and implements `Layer`; the kind itself implements
/// [`Neuron`].
macro_rules! neuron {
    (
        $(#[$($about:tt)*])*
        pub struct $Name:ident = $kind:literal { $($own:tt)* }
        defaults { $($defaults:tt)* }
    ) => {
        $crate::nn::neurons::neuron::neuron! {
            @declared
            {
                $($own)*
                /// Whether the neurons receive their own layer's spikes, through the parameter `recurrent_w`.
                recurrent: bool = false,
            }
            $(#[$($about)*])* pub struct $Name = $kind
            defaults { $($defaults)* }
            |this| this.recurrent
        }
    };
    (
        $(#[$($about:tt)*])*
        always recurrent pub struct $Name:ident = $kind:literal { $($own:tt)* }
        defaults { $($defaults:tt)* }
    ) => {
        $crate::nn::neurons::neuron::neuron! {
            @declared
            { $($own)* }
            $(#[$($about)*])* pub struct $Name = $kind
            defaults { $($defaults)* }
            |_this| true
        }
    };
    (
        @declared
        { $($own:tt)* }
        $(#[$($about:tt)*])* pub struct $Name:ident = $kind:literal
        defaults { fires $fires:ident, reset $reset:ident, detached $detached:literal, surrogate $surrogate:expr }
        |$this:ident| $recurrent:expr
    ) => {
        $crate::nn::arguments::layer! {
            $(#[$($about)*])*
            pub struct $Name = $kind {
                needs {
                    /// Shape of one sample's potentials.
                    hidden_shape: Vec<usize>,
                }
                takes {
                    $($own)*
                    /// The potential above which a neuron fires, unless it is refractory.
                    threshold: f64 = 1.0,
                    /// The surrogate derivative of spikes.
                    activation: $crate::nn::neurons::surrogate::Surrogate = $surrogate,
                    /// What a spike does to the potential.
                    reset: $crate::nn::neurons::options::Reset = $crate::nn::neurons::options::Reset::$reset,
                    /// Whether the reset is detached, so that no gradient passes through its spikes.
                    detach_reset: bool = $detached,
                    /// Whether thresholds are trained: each neuron then has its own, the parameter `threshold` [hidden_shape…],
                    /// which starts at the argument's value.
                    learn_threshold: bool = false,
                    /// The refractory period in steps: after a spike a neuron does not fire and its potential is held, while
                    /// other states are updated. As in Norse's `LIFRefrac`, except that the counter has no gradient.
                    refractory: Option<usize> = None,
                    /// Initialization of the recurrent weights.
                    recurrent_init: $crate::nn::neurons::options::RecurrentInit =
                        $crate::nn::neurons::options::RecurrentInit::Small,
                    /// Which potential spikes are computed from.
                    fires: $crate::nn::neurons::options::Fires = $crate::nn::neurons::options::Fires::$fires,
                }
            }
        }

        impl $Name {
            /// Neurons with every default.
            pub fn new(hidden_shape: impl Into<Vec<usize>>) -> $Name {
                $Name::with_defaults(hidden_shape.into())
            }

            fn taken_by_all(&self) -> $crate::nn::neurons::neuron::Shared<'_> {
                let $this = self;
                $crate::nn::neurons::neuron::Shared {
                    shape: &self.hidden_shape,
                    threshold: self.threshold,
                    activation: &self.activation,
                    reset: self.reset,
                    detach_reset: self.detach_reset,
                    learn_threshold: self.learn_threshold,
                    refractory: self.refractory,
                    fires: self.fires,
                    recurrent: $recurrent,
                    recurrent_init: self.recurrent_init,
                }
            }
        }

        impl $crate::nn::layer::Layer for $Name {
            $crate::nn::arguments::described_neuron!();
            fn check(&self) -> Result<(), (&'static str, String)> {
                $crate::nn::neurons::neuron::check(self)
            }
            fn parameters(&self) -> Vec<$crate::nn::parameter::Parameter> {
                $crate::nn::neurons::neuron::parameters(self)
            }
            fn states(&self) -> Vec<$crate::nn::parameter::State> {
                $crate::nn::neurons::neuron::states(self)
            }
            fn synapses(&self) -> Option<$crate::nn::layer::Synapses> {
                let heard = $crate::nn::layer::Synapses::OfOwnSpikes($crate::nn::neurons::recurrence::RECURRENT);
                self.taken_by_all().recurrent.then_some(heard)
            }
            #[track_caller]
            fn step(&self, at: &mut $crate::nn::step::Step<'_>, x: &spiq_hlo::Tensor) -> spiq_hlo::Tensor {
                $crate::nn::neurons::neuron::step(self, at, x)
            }
        }
    };
}

pub(super) use neuron;
