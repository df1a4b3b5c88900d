//! Bad inputs: what is wrong, and the command that reads it.

/// An input and a command.
pub struct Case {
    /// What is wrong.
    pub what: &'static str,
    /// The command, without its name.
    pub line: &'static str,
    /// Files that it reads, written before.
    pub files: &'static [(&'static str, &'static str)],
    /// Variables that it starts with.
    pub environment: &'static [(&'static str, &'static str)],
    /// Its exit code.
    pub code: i32,
}

const fn case(what: &'static str, line: &'static str) -> Case {
    Case { what, line, files: &[], environment: &[], code: 2 }
}

/// A case of a model, which is written to `m.toml`.
macro_rules! model {
    ($what:literal, $text:literal) => {
        Case { files: &[("m.toml", $text)], ..case($what, "train --model m.toml --data data.safetensors") }
    };
}

/// A case of rules, which are written to `r.toml`.
macro_rules! rules {
    ($what:literal, $text:literal) => {
        Case {
            files: &[("r.toml", $text)],
            ..case($what, "train --model model.toml --rules r.toml --data data.safetensors")
        }
    };
}

/// A case of a variable.
macro_rules! variable {
    ($what:literal, $line:literal, $name:literal = $value:literal) => {
        Case { environment: &[($name, $value)], ..case($what, $line) }
    };
}

/// All cases, by what is bad in them.
pub const GROUPS: &[(&str, &[Case])] = &[
    ("Models", MODELS),
    ("Rules", RULES),
    ("Data", DATA),
    ("Recordings", RECORDINGS),
    ("Checkpoints and parameters", CHECKPOINTS),
    ("Flags", FLAGS),
    ("Plugins and the cache", PLUGINS),
];

const MODELS: &[Case] = &[
    case("no such file", "train --model nothere.toml --data data.safetensors"),
    case("a folder", "train --model folder --data data.safetensors"),
    model!("an empty file", ""),
    model!("invalid TOML", "layers = [\n{ type = \"LIF\" \n"),
    model!("an unknown key of the model", "layer = []\n"),
    model!("a layer without a type", "[[layers]]\nin_features = 12\n"),
    model!("an unknown type", "[[layers]]\ntype = \"Dense\"\n"),
    model!("a misspelt type", "[[layers]]\ntype = \"lif\"\nhidden_shape = 12\n"),
    model!("an unknown key of a layer", "[[layers]]\ntype = \"LIF\"\nhidden_shape = 12\nmomentum = 0.9\n"),
    model!("a misspelt key of a layer", "[[layers]]\ntype = \"Linear\"\nin_featurs = 12\nout_features = 3\n"),
    model!("a missing key", "[[layers]]\ntype = \"Linear\"\nin_features = 12\n"),
    model!("a string instead of a number", "[[layers]]\ntype = \"Linear\"\nin_features = \"12\"\nout_features = 3\n"),
    model!("a size of 0", "[[layers]]\ntype = \"LI\"\nlayer_shape = 0\n"),
    model!("a size that is too large", "[[layers]]\ntype = \"Linear\"\nin_features = 100000\nout_features = 100000\n"),
    model!("a number that is not finite", "[[layers]]\ntype = \"LIF\"\nhidden_shape = 12\nthreshold = nan\n"),
    model!("an unknown surrogate", "[[layers]]\ntype = \"LIF\"\nhidden_shape = 12\nactivation = { type = \"relu\" }\n"),
    model!(
        "sizes that do not fit each other",
        "[[layers]]\ntype = \"Linear\"\nin_features = 12\nout_features = 8\n[[layers]]\ntype = \"LI\"\nlayer_shape = 3\n"
    ),
    model!(
        "sizes after a convolution without strides",
        "[[layers]]\ntype = \"Reshape\"\nshape = [12, 1]\n[[layers]]\ntype = \"Conv\"\nin_features = 1\nout_features = 4\n\
         kernel_size = 3\n[[layers]]\ntype = \"Flatten\"\n[[layers]]\ntype = \"Linear\"\nin_features = 24\nout_features = 3\n"
    ),
    model!(
        "an input that names no layer",
        "[[layers]]\ntype = \"Linear\"\nin_features = 12\nout_features = 3\ninputs = [\"first\"]\n"
    ),
];

const RULES: &[Case] = &[
    case("no such file", "train --model model.toml --rules nothere.toml --data data.safetensors"),
    case("unknown types", "train --model model.toml --rules int99 --data data.safetensors"),
    rules!("no rules", ""),
    rules!("an unknown key", "[[rules]]\nweight_type = \"int8\"\n"),
    rules!("an unknown type", "[[rules]]\nweight_qtype = \"itn8\"\n"),
    rules!("an invalid regular expression", "[[rules]]\nmodule_path = \"core/(\"\nweight_qtype = \"int8\"\n"),
    rules!("a tile of 0", "[[rules]]\nweight_qtype = \"int8\"\ntile_size = 0\n"),
    rules!("a path without operations", "[[rules]]\nmodule_path = \"core/layer/0\"\nweight_qtype = \"int8\"\n"),
    rules!(
        "a rule after one that matches everything",
        "[[rules]]\nweight_qtype = \"int8\"\n[[rules]]\nmodule_path = \"core/layers/0\"\nweight_qtype = \"int4\"\n"
    ),
    rules!(
        "an unknown calibration method",
        "[[rules]]\nweight_qtype = \"int8\"\nweight_calibration_method = \"absmin\"\n"
    ),
];

const DATA: &[Case] = &[
    case("no such file", "train --model model.toml --data nothere.safetensors"),
    case("not a safetensors file", "train --model model.toml --data text.safetensors"),
    case("a truncated file", "train --model model.toml --data cut.safetensors"),
    case("no samples under a known name", "train --model model.toml --data pixels.safetensors"),
    case("no labels", "train --model model.toml --data unlabelled.safetensors"),
    case("fewer labels than samples", "train --model model.toml --data few.safetensors"),
    case("labels that are not integers", "train --model model.toml --data float.safetensors"),
    case("a negative label", "train --model model.toml --data negative.safetensors"),
    case("a label above the last class", "train --model model.toml --data seven.safetensors"),
    case("images with negative numbers", "train --model model.toml --data signed.safetensors"),
    case("images of another size", "train --model model.toml --data wide.safetensors"),
    case("no samples", "train --model model.toml --data none.safetensors"),
    case("no time steps", "train --model model.toml --data silent.safetensors"),
    case("one sample", "train --model model.toml --data single.safetensors"),
    case("`train` beyond the samples", "train --model model.toml --data train.safetensors"),
    case("`max` below 0", "train --model model.toml --data max.safetensors"),
    case("data for another model than the recipe's", "train --data data.safetensors"),
    case("arrays as recordings", "train --model model.toml --data data.safetensors --bins 4"),
];

const RECORDINGS: &[Case] = &[
    case("an unsupported format", "train --model model.toml --data text.h5"),
    case("a folder without recordings", "data info folder"),
    case("a data set that is not downloaded", "train --model model.toml --data shd"),
    case("an unknown data set", "data fetch shdd"),
    case("a frame of 0 s", "train --data speech --dt 0"),
    case("more channels than the sensor has", "train --data speech --channels 900"),
    case("more frames than memory holds", "train --data speech --bins 2000000000 --dt 0.001"),
    case("an unknown transform", "train --data speech --transform Denoize(filter_time=1)"),
    case("an unknown argument", "train --data speech --transform Denoise(time=1)"),
    Case {
        files: &[(
            "t.toml",
            "[[transforms]]\ntype = \"MergePolarities\"\n[[transforms]]\ntype = \"Denoise\"\nfilter = 1\n",
        )],
        ..case("an unknown argument, in a file", "train --data speech --transform t.toml")
    },
    case("an unknown speaker", "train --data speech --test-speaker nobody"),
    case("a speaker for images", "train --test-speaker theo"),
];

const CHECKPOINTS: &[Case] = &[
    case("--resume without a run", "train --resume --out folder"),
    case("--resume before the first checkpoint", "train --resume --out unfinished"),
    case("a damaged checkpoint", "train --resume --out damaged"),
    case("--resume with another seed", "train --resume --out run --seed 1"),
    Case {
        files: &[(
            "other.toml",
            "layers = [\n{ type = \"Linear\", in_features = 12, out_features = 3 },\n{ type = \"LIF\", hidden_shape = 3 },\n]\n",
        )],
        ..case("--resume with another model", "train --resume --out run --model other.toml")
    },
    case("damaged parameters", "predict --run damaged --data data.safetensors --output o.safetensors"),
    case(
        "parameters that lack an array",
        "predict --params without.safetensors --data data.safetensors --output o.safetensors",
    ),
    case(
        "parameters that are not finite",
        "predict --params nan.safetensors --data data.safetensors --output o.safetensors",
    ),
    case(
        "initial parameters that are not finite",
        "train --model model.toml --data data.safetensors --init nan.safetensors",
    ),
    case("no parameters at all", "predict --params data.safetensors --data data.safetensors --output o.safetensors"),
    case(
        "quantized weights, as in training",
        "predict --params stored.safetensors --data data.safetensors --output o.safetensors",
    ),
    case("a folder without a run", "evaluate folder"),
    case("a run that has not ended", "evaluate unfinished"),
    case("the best epoch of a run without validation", "evaluate run --params best"),
    case("no runs to report", "report folder --output r.html"),
    case("nothing to quantize", "quantize --params run/params.safetensors --rules none --output q.safetensors"),
    case(
        "nothing to calibrate",
        "quantize --params run/params.safetensors --calibrate data.safetensors --output q.safetensors",
    ),
];

const FLAGS: &[Case] = &[
    case("an unknown command", "trian"),
    case("an unknown flag", "train --epoch 3"),
    case("a number below the minimum", "train --batch-size -1"),
    case("not a number", "train --epochs many"),
    case("two lengths", "train --epochs 3 --steps 3"),
    case("a batch larger than the data set", "train --model model.toml --data data.safetensors --batch-size 67"),
    case("an unknown optimizer", "train --optimizer sdg"),
    case("an unknown argument", "train --optimizer adam(momentum=0.9)"),
    case("a negative rate", "train --learning-rate -1"),
    case("an unknown schedule", "train --schedule cosin"),
    case("an unknown loss", "train --loss mse"),
    case("an unknown augmentation", "train --augment TimeShft(max=3)"),
    case("an unknown encoder", "train --encode Rat"),
    case("a fraction above 1", "train --validation 1.5"),
    case("too many samples for validation", "train --validation 5000"),
    case("patience without validation", "train --patience 3"),
    case("a fold out of range", "train --folds 3 --fold 4"),
    case("rules that begin after the last step", "train --steps 5 --rules-from-step 5"),
    case("fewer batches than one step needs", "train --steps 5 --accumulate 6"),
    case("a seed given twice", "train --seeds 1,1"),
    case(
        "results over those of another run",
        "train --model model.toml --data data.safetensors --rules int8 --time-steps 2 --steps 3 --out run",
    ),
    case("help on a misspelt command", "help trian"),
    case("help on an unknown layer", "help model LIFF"),
    case("a file as results folder", "train --model model.toml --data data.safetensors --out model.toml"),
    case("results over an input", "predict --run run --data data.safetensors --output data.safetensors"),
    case(
        "results in a folder that does not exist",
        "predict --run run --data data.safetensors --output nothere/o.safetensors",
    ),
    case("a top-k above the number of classes", "evaluate run --top-k 4"),
    case("an invalid shape", "bench --shape 16,8,32"),
    case("a batch that the devices cannot share", "bench --shape 4,6,8,8,3 --devices 4"),
    case("the same for a model", "bench --model model.toml --batch-size 3 --devices 4"),
    case("all devices of a kind of chip", "inspect --model model.toml --target cuda:h100 --devices all"),
    case(
        "a Redis without the name of a run",
        "train --data digits --coordinator-address redis://node0 --num-processes 2 --process-id 0",
    ),
    case(
        "a Redis with TLS",
        "train --data digits --coordinator-address rediss://node0?run=a --num-processes 2 --process-id 0",
    ),
    case("an unknown stage", "inspect --model model.toml --stage quant"),
    case("an input that is too large", "inspect --model model.toml --stage trace --time-steps 2000000000"),
    case("a sweep without a grid", "sweep --model model.toml --data data.safetensors"),
    Case {
        files: &[("s.toml", "epochs = [1, 2]\nlearning_rate = [0.1\n")],
        ..case("settings that are not TOML", "sweep --space s.toml")
    },
    case("an unknown setting", "sweep --grid learning_rat=0.1,0.2"),
    Case {
        code: 1,
        ..case(
            "numbers that overflow in training",
            "train --model model.toml --data data.safetensors --rules none --time-steps 2 --steps 9 --learning-rate 1e38 --out overflow",
        )
    },
];

const PLUGINS: &[Case] = &[
    variable!("no such plugin", "evaluate run", "SPIQ_PJRT_PLUGIN" = "nothere.so"),
    variable!("a plugin that is not a library", "evaluate run", "SPIQ_PJRT_PLUGIN" = "text.safetensors"),
    case("an unknown plugin", "plugin install npu"),
    case("an unknown build of a plugin", "plugin install cpu --build xla-1"),
    case("a build of a plugin that has one", "plugin install tpu --build xla"),
    case("a package that does not exist", "plugin install cpu --from nothere.whl"),
    variable!("a cache that is a file", "evaluate run", "SPIQ_CACHE_DIR" = "model.toml"),
    Case {
        environment: &[("SPIQ_COMPILE_SECONDS", "soon"), ("SPIQ_NO_CACHE", "1")],
        ..case("a limit that is not a number", "evaluate run")
    },
];
