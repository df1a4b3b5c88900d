//! Bushy cells: neurons that the fibres of a channel's hair cell drive. Knows nothing of sound.

use super::{LANES, Lanes};

/// What bushy cells are, all times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Neuron {
    pub(super) membrane: f64,
    pub(super) synapse: f64,
    pub(super) refractory: f64,
    /// How far a rate of one spike a second lifts the potential in the end.
    pub(super) weight: f64,
    /// How far each spike lifts the threshold, and how long that lasts.
    pub(super) fatigue: f64,
    pub(super) recovery: f64,
}

/// Leaky integrate-and-fire neurons of neighbouring channels.
pub(super) struct BushyCells {
    current: Lanes,
    potential: Lanes,
    fatigue: Lanes,
    /// Samples for which a neuron is still deaf.
    deaf: Lanes,
    weight: Lanes,
    keeps: [f32; 3],
    gain: f32,
    tired: f32,
    deaf_after_spike: f32,
}

impl BushyCells {
    pub(super) fn new(neuron: &Neuron, sensitivity: Lanes, rate: f64) -> BushyCells {
        let keep = |tau: f64| (-1.0 / (tau * rate)).exp();
        BushyCells {
            current: [0.0; LANES],
            potential: [0.0; LANES],
            fatigue: [0.0; LANES],
            deaf: [0.0; LANES],
            weight: sensitivity.map(|s| (f64::from(s) * neuron.weight * (1.0 - keep(neuron.synapse))) as f32),
            keeps: [neuron.synapse, neuron.membrane, neuron.recovery].map(|tau| keep(tau) as f32),
            gain: (1.0 - keep(neuron.membrane)) as f32,
            tired: neuron.fatigue as f32,
            deaf_after_spike: (neuron.refractory * rate).round() as f32,
        }
    }

    /// Which channels fire, a bit each, when their fibres fire at these rates.
    #[inline]
    pub(super) fn step(&mut self, rates: &Lanes) -> u32 {
        let [synapse, membrane, recovery] = self.keeps;
        let mut fires = [false; LANES];
        for lane in 0..LANES {
            self.current[lane] = self.current[lane] * synapse + rates[lane] * self.weight[lane];
            let raised = self.potential[lane] * membrane + self.current[lane] * self.gain;
            let potential = if self.deaf[lane] > 0.0 { 0.0 } else { raised };
            let fatigue = self.fatigue[lane] * recovery;
            let fire = potential >= 1.0 + fatigue;
            self.potential[lane] = if fire { 0.0 } else { potential };
            self.fatigue[lane] = if fire { fatigue + self.tired } else { fatigue };
            self.deaf[lane] = if fire { self.deaf_after_spike } else { self.deaf[lane] - 1.0 };
            fires[lane] = fire;
        }
        fires.iter().enumerate().map(|(lane, fire)| u32::from(*fire) << lane).sum()
    }
}
