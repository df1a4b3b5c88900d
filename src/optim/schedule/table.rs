//! Learning-rate schedules by name.

use std::sync::Arc;

use super::super::plateau::{ReduceOnPlateau, reduce_on_plateau};
use super::{
    CosineDecay, CosineOnecycle, ExponentialDecay, LinearOnecycle, Schedule, WarmupCosineDecay, cosine_decay_schedule,
    cosine_onecycle_schedule, exponential_decay, linear_onecycle_schedule, piecewise_constant_schedule,
    warmup_constant_schedule, warmup_cosine_decay_schedule,
};
use crate::choice::{Arguments, BETWEEN, Choice, FINITE, NOT_NEGATIVE, POSITIVE, SHARE, Span};
use crate::error::Result;

/// Optimizer steps in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// In total.
    pub total: u32,
    /// Per epoch.
    pub of_epoch: u32,
}

/// The course of a learning rate over a run.
#[derive(Clone, Debug)]
pub struct Course {
    /// As a function of the step count.
    pub schedule: Schedule,
    /// As a function of the loss.
    pub plateau: Option<ReduceOnPlateau>,
}

impl From<Schedule> for Course {
    fn from(schedule: Schedule) -> Course {
        Course { schedule, plateau: None }
    }
}

/// Makes the course of a learning rate from its initial value and the run's steps.
pub type Planned = Arc<dyn Fn(f64, Steps) -> Course + Send + Sync>;

/// Makes a schedule from its arguments.
pub type MakeSchedule = fn(&mut Arguments) -> Result<Planned>;

/// The schedules by name. Arguments that count steps may be fractions of the total, written with a decimal point.
pub const SCHEDULES: &[Choice<MakeSchedule>] = &[
    Choice {
        name: "constant",
        about: "the same value throughout",
        make: |_| planned(|rate, _| Schedule::Constant(rate)),
    },
    Choice {
        name: "cosine",
        about: "decays along half a cosine to alpha times the initial rate (alpha = 0, exponent = 1)",
        make: |a| {
            let (alpha, exponent) = (a.number("alpha", 0.0, SHARE)?, a.number("exponent", 1.0, POSITIVE)?);
            planned(move |rate, steps| {
                CosineDecay { alpha, exponent, ..cosine_decay_schedule(rate, steps.total) }.into()
            })
        },
    },
    Choice {
        name: "warmup_constant",
        about: "rises linearly from init_value, then stays constant (warmup = 0.1, init_value = 0)",
        make: |a| {
            let (warmup, init) = (warmup(a)?, a.number("init_value", 0.0, NOT_NEGATIVE)?);
            planned(move |rate, steps| match warmup.of(steps.total) {
                // optax would stay at `init_value` here.
                0 => rate.into(),
                over => warmup_constant_schedule(init, rate, over).into(),
            })
        },
    },
    Choice {
        name: "warmup_cosine",
        about: "rises linearly from init_value, then decays to end_value along half a cosine (warmup = 0.1, init_value = 0, end_value = 0, \
                exponent = 1)",
        make: |a| {
            let (warmup, init) = (warmup(a)?, a.number("init_value", 0.0, NOT_NEGATIVE)?);
            let (end_value, exponent) =
                (a.number("end_value", 0.0, NOT_NEGATIVE)?, a.number("exponent", 1.0, POSITIVE)?);
            planned(move |rate, steps| {
                // Leaves at least one step for the decay.
                let over = warmup.of(steps.total).min(steps.total.saturating_sub(1));
                let default = warmup_cosine_decay_schedule(init, rate, over, steps.total.max(1));
                WarmupCosineDecay { end_value, exponent, ..default }.into()
            })
        },
    },
    Choice {
        name: "cosine_onecycle",
        about: "rises and falls along half cosines; the learning rate is the peak (pct_start = 0.3, div_factor = 25, \
                final_div_factor = 10000)",
        make: |a| {
            let (pct_start, [div_factor, final_div_factor]) = (a.number("pct_start", 0.3, SHARE)?, divisors(a)?);
            planned(move |rate, steps| {
                let default = cosine_onecycle_schedule(steps.total.max(1), rate);
                CosineOnecycle { pct_start, div_factor, final_div_factor, ..default }.into()
            })
        },
    },
    Choice {
        name: "linear_onecycle",
        about: "rises and falls linearly; the learning rate is the peak (pct_start = 0.3, pct_final = 0.85, div_factor = 25, \
                final_div_factor = 10000)",
        make: |a| {
            let [pct_start, pct_final] = [a.number("pct_start", 0.3, SHARE)?, a.number("pct_final", 0.85, SHARE)?];
            let [div_factor, final_div_factor] = divisors(a)?;
            if pct_final <= pct_start {
                return Err(a.error(format!(
                    "rises until pct_start = {pct_start}, so it cannot be back down at pct_final = {pct_final}; give a larger pct_final"
                )));
            }
            planned(move |rate, steps| {
                let default = linear_onecycle_schedule(steps.total.max(1), rate);
                LinearOnecycle { pct_start, pct_final, div_factor, final_div_factor, ..default }.into()
            })
        },
    },
    Choice {
        name: "exponential",
        about: "decays by the factor decay_rate per transition_steps (decay_rate = 0.01, transition_steps = 1.0, staircase = false, \
                end_value)",
        make: |a| {
            let (decay_rate, over) =
                (a.number("decay_rate", 0.01, POSITIVE)?, a.span("transition_steps", Span::Share(1.0))?);
            let (staircase, end_value) = (a.flag("staircase", false)?, a.optional("end_value", NOT_NEGATIVE)?);
            planned(move |rate, steps| {
                let default = exponential_decay(rate, over.of(steps.total).max(1), decay_rate);
                ExponentialDecay { staircase, end_value, ..default }.into()
            })
        },
    },
    Choice {
        name: "piecewise",
        about: "multiplied by a scale at each boundary (boundaries = [0.5, 0.75], scales = [0.1, 0.1])",
        make: |a| {
            let boundaries = a.spans("boundaries", &[Span::Share(0.5), Span::Share(0.75)])?;
            let scales = a.numbers("scales", &[0.1, 0.1], NOT_NEGATIVE)?;
            if boundaries.len() != scales.len() {
                let (some, others) = (boundaries.len(), scales.len());
                return Err(a.error(format!("has {some} boundaries and {others} scales; give one scale per boundary")));
            }
            if !boundaries.windows(2).all(goes_up) {
                return Err(a.error("has boundaries that do not increase; give them in order, each once"));
            }
            planned(move |rate, steps| {
                let at = boundaries.iter().map(|boundary| boundary.of(steps.total));
                piecewise_constant_schedule(rate, at.zip(scales.iter().copied())).into()
            })
        },
    },
    Choice {
        name: "plateau",
        about: "multiplied by factor when the mean training loss over accumulation_size steps has not improved patience times (factor = \
                0.1, patience = 10, rtol = 0.0001, atol = 0, cooldown = 0, accumulation_size: the steps of an epoch, min_scale = 0)",
        make: plateau,
    },
];

fn plateau(a: &mut Arguments) -> Result<Planned> {
    let default = reduce_on_plateau();
    let given = ReduceOnPlateau {
        factor: a.number("factor", default.factor, BETWEEN)?,
        patience: a.count("patience", default.patience)?,
        rtol: a.number("rtol", default.rtol, SHARE)?,
        atol: a.number("atol", default.atol, NOT_NEGATIVE)?,
        cooldown: a.natural("cooldown", default.cooldown)?,
        min_scale: a.number("min_scale", default.min_scale, SHARE)?,
        accumulation_size: 1,
    };
    let size = a.optional_count("accumulation_size")?;
    if given.rtol == 0.0 && given.atol == 0.0 {
        return Err(a.error("counts any decrease as an improvement if both rtol and atol are 0; give one of them"));
    }
    Ok(Arc::new(move |rate, steps| {
        let accumulation_size = size.unwrap_or(steps.of_epoch.max(1));
        Course { schedule: rate.into(), plateau: Some(ReduceOnPlateau { accumulation_size, ..given.clone() }) }
    }))
}

/// Whether the later of two boundaries is larger. A fraction and a step count can only be compared within a run.
fn goes_up(pair: &[Span]) -> bool {
    match pair {
        [Span::Share(one), Span::Share(next)] => one < next,
        [Span::Steps(one), Span::Steps(next)] => one < next,
        _ => true,
    }
}

fn planned(schedule: impl Fn(f64, Steps) -> Schedule + Send + Sync + 'static) -> Result<Planned> {
    Ok(Arc::new(move |rate, steps| schedule(rate, steps).into()))
}

fn warmup(arguments: &mut Arguments) -> Result<Span> {
    arguments.span("warmup", Span::Share(0.1))
}

fn divisors(arguments: &mut Arguments) -> Result<[f64; 2]> {
    let at_least_one = 1.0..=*FINITE.end();
    Ok([
        arguments.number("div_factor", 25.0, at_least_one.clone())?,
        arguments.number("final_div_factor", 1e4, at_least_one)?,
    ])
}
