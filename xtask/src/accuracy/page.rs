//! Writes the tables as Markdown.

use std::fmt::Write as _;

use super::networks::{Row, SPLITS, Split};
use super::score::{Ended, number};

const HEAD: &str = "\
# Accuracy

Written by `cargo xtask accuracy`, which trains every network below with seeds 0, 1 and 2 and evaluates it
(`target/accuracy` keeps the runs). Each number is a mean over seeds, and over speakers if there are several, ± the standard
deviation over seeds. A tenth of the training samples is held out to choose the best epoch; the test samples choose
nothing. Operations are counted as in NeuroBench: the average per sample, without products with zero; *dense* includes those.
Bytes are the size of the file that `spiq quantize` writes, without its header; bits are those of the weights and all other
parameters.
";

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for split in SPLITS {
        let _ = write!(
            page,
            "\n## {}\n{}\n| network | last epoch, % | best epoch by validation, % | parameters | bits | bytes | spikes | MACs | ACs | \
             dense |\n|---|---|---|---|---|---|---|---|---|---|\n",
            split.title,
            if split.about.is_empty() { String::new() } else { format!("\n{}\n", split.about) }
        );
        for (number, row) in split.rows().into_iter().enumerate() {
            page.push_str(&line(split, number, row));
        }
    }
    page
}

/// A row's line, with its flags and, if some runs are missing, the number of finished seeds.
fn line(split: &Split, row_number: usize, row: &Row) -> String {
    let ended = Ended::of(split, row_number);
    let (count, wanted) = (ended.count(), split.seeds.len());
    let seeds = if count < wanted { format!("; {count} of {wanted} seeds") } else { String::new() };
    if count == 0 {
        return format!("| {} (`{}`{seeds}) | | | | | | | | | |\n", row.name, row.flags);
    }
    let counts = ["parameters", "bits", "bytes", "spikes_per_sample", "effective_macs", "effective_acs", "dense"];
    let counts = counts.map(|key| format!("{:.0}", ended.score(|run| number(&run.last, key)).mean));
    format!(
        "| {} (`{}`{seeds}) | {} | {} | {} |\n",
        row.name,
        row.flags,
        ended.last(),
        ended.best(),
        counts.join(" | ")
    )
}
