//! Values of flags: augmentations, losses, metrics, optimizers, schedules, spike codes, chips, event transforms.

use spiq::augment::Augmentation;
use spiq::data::Code;
use spiq::native::Target as Chip;
use spiq::train::{Loss, Metric, Optimizer};
use spiq_events::Pipeline;

use super::{Target, text};

/// A flag's value; the first letter selects the reader.
pub const CHOICES: Target = Target {
    name: "choices",
    read: |input| {
        let Some(text) = text(input) else { return false };
        let Some((kind, text)) = text.split_at_checked(1) else { return false };
        match kind {
            "a" => Augmentation::parse(text).is_ok(),
            "l" => Loss::named(text).is_ok(),
            "m" => Metric::named(text).is_ok(),
            "o" => Optimizer::named(text, 1e-3, "constant").is_ok(),
            "s" => Optimizer::named("adam", 1e-3, text).is_ok(),
            "g" => Optimizer::named("adam", 1e-3, "constant").and_then(|optimizer| optimizer.with_groups(text)).is_ok(),
            "k" => Optimizer::named("adam", 1e-3, "constant").and_then(|optimizer| optimizer.with_clip(text)).is_ok(),
            "c" => Code::parse(text).is_ok(),
            "t" => Chip::parse(text).is_ok(),
            "p" => Pipeline::parse(text).is_ok(),
            _ => false,
        }
    },
    corpus: || CORPUS.iter().map(|choice| choice.as_bytes().to_vec()).collect(),
};

const CORPUS: &[&str] = &[
    "aTimeSkew(coefficient = [0.82, 1.22]), TimeShift(max = 4), ChannelShift(max = 3)",
    "lce_mean_loss(smoothing = 0.1)",
    "lintegral_crossentropy",
    "mintegral_accuracy",
    "oadamw(b1 = 0.9, b2 = 0.99, weight_decay = 1e-4)",
    "swarmup_cosine(warmup = 0.1, init_value = 0)",
    "spiecewise(boundaries = [0.5, 0.75], scales = [0.1, 0.1])",
    "scosine",
    "ggroup(path = \"delay\", learning_rate = 0.1, schedule = \"cosine\"), group(path = \"scale|bias\", b1 = 0.8)",
    "kclip_by_global_norm(max_norm = 1.0)",
    "k0.5",
    "cRate(max_r = 0.5)",
    "cLatency(tau = 5, threshold = 0.1, normalize = true)",
    "cAngle(neuron_count = 8)",
    "tcuda:h100",
    "ttpu:v5e",
    "pDenoise(filter_time = 10000), MergePolarities",
];
