//! Bushy cells: neurons driven by the nerve fibres of a channel's hair cell.

use super::{LANES, Lanes};

/// Time constants of the membrane potential and of the synaptic current, in seconds.
const MEMBRANE: f64 = 3e-3;
const SYNAPSE: f64 = 0.5e-3;
/// Refractory period after a spike, in seconds.
const REFRACTORY: f64 = 1e-3;
/// The potential, in thresholds, for fibres that fire at one spike per second each: lauscher's weight of 13,000 per second for all 40
/// fibres together, times its time constants of 1 and 0.5 ms.
const WEIGHT: f64 = 13e3 * 1e-3 * 0.5e-3;

/// Leaky integrate-and-fire neurons of neighbouring channels, as in lauscher except for a slower membrane.
pub(super) struct BushyCells {
    current: Lanes,
    potential: Lanes,
    /// Samples left in the refractory period.
    deaf: Lanes,
    weights: Lanes,
    current_kept: f32,
    potential_kept: f32,
    deaf_after_spike: f32,
}

impl BushyCells {
    /// Cells at rest, for `rate` samples per second. A sensitivity of 1 is lauscher's.
    pub(super) fn new(sensitivities: &Lanes, rate: f64) -> BushyCells {
        let kept = |seconds: f64| (-1.0 / (seconds * rate)).exp();
        // The input is scaled so that a constant rate drives the potential to the weight times that rate.
        let scale = WEIGHT * (1.0 - kept(SYNAPSE)) * (1.0 - kept(MEMBRANE));
        BushyCells {
            current: [0.0; LANES],
            potential: [0.0; LANES],
            deaf: [0.0; LANES],
            weights: sensitivities.map(|sensitivity| (f64::from(sensitivity) * scale) as f32),
            current_kept: kept(SYNAPSE) as f32,
            potential_kept: kept(MEMBRANE) as f32,
            deaf_after_spike: (REFRACTORY * rate).round() as f32,
        }
    }

    /// The cells that fire, one bit each, given their fibres' rates in spikes per second.
    #[inline]
    pub(super) fn step(&mut self, rates: &Lanes) -> u32 {
        let mut fires = [false; LANES];
        for lane in 0..LANES {
            self.current[lane] = self.current[lane] * self.current_kept + rates[lane] * self.weights[lane];
            let raised = self.potential[lane] * self.potential_kept + self.current[lane];
            let potential = if self.deaf[lane] > 0.0 { 0.0 } else { raised };
            let fire = potential >= 1.0;
            self.potential[lane] = if fire { 0.0 } else { potential };
            self.deaf[lane] = if fire { self.deaf_after_spike } else { self.deaf[lane] - 1.0 };
            fires[lane] = fire;
        }
        fires.iter().enumerate().map(|(lane, fire)| u32::from(*fire) << lane).sum()
    }
}
