//! Inner hair cells: convert the membrane's motion to the firing rates of nerve fibres.

use super::{LANES, Lanes};

/// Rates per second at which the factory makes transmitter (`y`), and at which reuptake returns it to the pool (`x`).
const REPLENISHMENT: f64 = 5.05;
const REPROCESSING: f64 = 66.31;
/// Rates per second at which transmitter is lost from the cleft (`l`) and taken up again (`r`).
const LOSS: f64 = 2500.0;
const REUPTAKE: f64 = 6580.0;
/// Permeability of the membrane: at most `g` per second; `A` and `B` in units of motion.
const PERMEABILITY: f64 = 2000.0;
const AT_REST: f32 = 5.0;
const HALF: f32 = 300.0;
/// Spikes per second for a cleft full of transmitter (`h`).
const FIRING: f64 = 50_000.0;

/// Hair cells of neighbouring channels: R. Meddis, "Simulation of auditory-neural transduction: Further studies", JASA 83, 1988, with
/// lauscher's values of its constants (`y, l, r, x, A, B, g, h`).
///
/// The equations are integrated implicitly, one after the other, so that they also work for telephone sound: the cleft empties faster
/// (9,080 per second) than its samples arrive (8,000 per second), where explicit steps diverge.
pub(super) struct HairCells {
    /// Transmitter in the pool, in the cleft, and in reprocessing.
    pool: Lanes,
    cleft: Lanes,
    store: Lanes,
    seconds: f32,
    kept_in_cleft: f32,
    kept_in_store: f32,
}

impl HairCells {
    /// Cells at rest, for `rate` samples per second.
    pub(super) fn new(rate: f64) -> HairCells {
        let (rest, half) = (f64::from(AT_REST), f64::from(HALF));
        let k = PERMEABILITY * rest / (rest + half);
        let cleft = REPLENISHMENT * k / (LOSS * k + REPLENISHMENT * (LOSS + REUPTAKE));
        HairCells {
            pool: [(cleft * (LOSS + REUPTAKE) / k) as f32; LANES],
            cleft: [cleft as f32; LANES],
            store: [(cleft * REUPTAKE / REPROCESSING) as f32; LANES],
            seconds: (1.0 / rate) as f32,
            kept_in_cleft: (1.0 / (1.0 + (LOSS + REUPTAKE) / rate)) as f32,
            kept_in_store: (1.0 / (1.0 + REPROCESSING / rate)) as f32,
        }
    }

    /// Firing rates of each channel's fibres, in spikes per second, given the membrane's motion.
    #[inline]
    pub(super) fn step(&mut self, motion: &Lanes) -> Lanes {
        let seconds = self.seconds;
        let (made, back) = (REPLENISHMENT as f32 * seconds, REPROCESSING as f32 * seconds);
        let (opened, taken_up) = (PERMEABILITY as f32 * seconds, REUPTAKE as f32 * seconds);
        let mut rates = [0.0; LANES];
        for lane in 0..LANES {
            let open = (motion[lane] + AT_REST).max(0.0);
            let whole = open + HALF;
            // pool' = y (1 - pool) + x store - k pool with k = g open / whole, solved with a single division.
            let before = self.pool[lane] + made + back * self.store[lane];
            let pool = before * whole / (whole * (1.0 + made) + opened * open);
            let released = before - pool * (1.0 + made);
            let cleft = (self.cleft[lane] + released) * self.kept_in_cleft;
            self.store[lane] = (self.store[lane] + taken_up * cleft) * self.kept_in_store;
            (self.pool[lane], self.cleft[lane]) = (pool, cleft);
            rates[lane] = FIRING as f32 * cleft;
        }
        rates
    }
}
