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
    model!("no TOML", "layers = [\n{ type = \"LIF\" \n"),
    model!("an unknown key of the model", "layer = []\n"),
    model!("a layer without a type", "[[layers]]\nin_features = 12\n"),
    model!("an unknown type", "[[layers]]\ntype = \"Dense\"\n"),
    model!("a misspelt type", "[[layers]]\ntype = \"lif\"\nhidden_shape = 12\n"),
    model!("an unknown key of a layer", "[[layers]]\ntype = \"LIF\"\nhidden_shape = 12\nmomentum = 0.9\n"),
    model!("a misspelt key of a layer", "[[layers]]\ntype = \"Linear\"\nin_featurs = 12\nout_features = 3\n"),
    model!("a missing key", "[[layers]]\ntype = \"Linear\"\nin_features = 12\n"),
    model!("a text for a number", "[[layers]]\ntype = \"Linear\"\nin_features = \"12\"\nout_features = 3\n"),
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
        "an input of no layer",
        "[[layers]]\ntype = \"Linear\"\nin_features = 12\nout_features = 3\ninputs = [\"first\"]\n"
    ),
];

const RULES: &[Case] = &[
    case("no such file", "train --model model.toml --rules nothere.toml --data data.safetensors"),
    case("types that are none", "train --model model.toml --rules int99 --data data.safetensors"),
    rules!("no rules", ""),
    rules!("an unknown key", "[[rules]]\nweight_type = \"int8\"\n"),
    rules!("an unknown type", "[[rules]]\nweight_qtype = \"itn8\"\n"),
    rules!("no regular expression", "[[rules]]\nmodule_path = \"core/(\"\nweight_qtype = \"int8\"\n"),
    rules!("a tile of 0", "[[rules]]\nweight_qtype = \"int8\"\ntile_size = 0\n"),
    rules!("a path of no operation", "[[rules]]\nmodule_path = \"core/layer/0\"\nweight_qtype = \"int8\"\n"),
    rules!(
        "a rule behind one that matches all",
        "[[rules]]\nweight_qtype = \"int8\"\n[[rules]]\nmodule_path = \"core/layers/0\"\nweight_qtype = \"int4\"\n"
    ),
    rules!("a method that is none", "[[rules]]\nweight_qtype = \"int8\"\nweight_calibration_method = \"absmin\"\n"),
];

const DATA: &[Case] = &[
    case("no such file", "train --model model.toml --data nothere.safetensors"),
    case("no safetensors file", "train --model model.toml --data text.safetensors"),
    case("a file that is cut off", "train --model model.toml --data cut.safetensors"),
    case("no samples under a known name", "train --model model.toml --data pixels.safetensors"),
    case("no labels", "train --model model.toml --data unlabelled.safetensors"),
    case("fewer labels than samples", "train --model model.toml --data few.safetensors"),
    case("labels that are no integers", "train --model model.toml --data float.safetensors"),
    case("a label below 0", "train --model model.toml --data negative.safetensors"),
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
    case("a format that is not read", "train --model model.toml --data text.h5"),
    case("a folder without recordings", "data info folder"),
    case("a data set that is not downloaded", "train --model model.toml --data shd"),
    case("a data set of no name", "data fetch shdd"),
    case("a frame of 0 s", "train --data speech --dt 0"),
    case("more channels than there are", "train --data speech --channels 900"),
    case("more frames than memory holds", "train --data speech --bins 2000000000 --dt 0.001"),
    case("a transform that is none", "train --data speech --transform Denoize(filter_time=1)"),
    case("an argument that is none", "train --data speech --transform Denoise(time=1)"),
    Case {
        files: &[(
            "t.toml",
            "[[transforms]]\ntype = \"MergePolarities\"\n[[transforms]]\ntype = \"Denoise\"\nfilter = 1\n",
        )],
        ..case("an argument that is none, in a file", "train --data speech --transform t.toml")
    },
    case("a speaker that is none", "train --data speech --test-speaker nobody"),
    case("a speaker of images", "train --test-speaker theo"),
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
    case("parameters that are damaged", "predict --run damaged --data data.safetensors --output o.safetensors"),
    case(
        "parameters without an array",
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
    case("no run", "evaluate folder"),
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
    case("a number below the least", "train --batch-size -1"),
    case("no number", "train --epochs many"),
    case("two lengths", "train --epochs 3 --steps 3"),
    case("a batch of more samples than there are", "train --model model.toml --data data.safetensors --batch-size 67"),
    case("an optimizer that is none", "train --optimizer sdg"),
    case("an argument that is none", "train --optimizer adam(momentum=0.9)"),
    case("a rate below 0", "train --learning-rate -1"),
    case("a schedule that is none", "train --schedule cosin"),
    case("a loss that is none", "train --loss mse"),
    case("an augmentation that is none", "train --augment TimeShft(max=3)"),
    case("an encoder that is none", "train --encode Rat"),
    case("a share above 1", "train --validation 1.5"),
    case("too many samples for validation", "train --validation 5000"),
    case("patience without validation", "train --patience 3"),
    case("a fold that is none", "train --folds 3 --fold 4"),
    case("rules that begin behind the end", "train --steps 5 --rules-from-step 5"),
    case("fewer batches than one step takes", "train --steps 5 --accumulate 6"),
    case("seeds that are none", "train --seeds 1,1"),
    case(
        "results over those of another run",
        "train --model model.toml --data data.safetensors --rules int8 --time-steps 2 --steps 3 --out run",
    ),
    case("help on nothing", "help trian"),
    case("help on no layer", "help model LIFF"),
    case("results in a file", "train --model model.toml --data data.safetensors --out model.toml"),
    case("results over an input", "predict --run run --data data.safetensors --output data.safetensors"),
    case("results in no folder", "predict --run run --data data.safetensors --output nothere/o.safetensors"),
    case("more than the classes", "evaluate run --top-k 4"),
    case("a shape that is none", "bench --shape 16,8,32"),
    case("a stage that is none", "inspect --model model.toml --stage quant"),
    case("an input that is too large", "inspect --model model.toml --stage trace --time-steps 2000000000"),
    case("a sweep over nothing", "sweep --model model.toml --data data.safetensors"),
    Case {
        files: &[("s.toml", "epochs = [1, 2]\nlearning_rate = [0.1\n")],
        ..case("settings that are no TOML", "sweep --space s.toml")
    },
    case("a setting that is none", "sweep --grid learning_rat=0.1,0.2"),
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
    variable!("a plugin that is no library", "evaluate run", "SPIQ_PJRT_PLUGIN" = "text.safetensors"),
    case("a plugin that is none", "plugin install npu"),
    case("a package that is not there", "plugin install cpu --from nothere.whl"),
    variable!("a cache that is a file", "evaluate run", "SPIQ_CACHE_DIR" = "model.toml"),
    Case {
        environment: &[("SPIQ_COMPILE_SECONDS", "soon"), ("SPIQ_NO_CACHE", "1")],
        ..case("a limit that is no number", "evaluate run")
    },
];
