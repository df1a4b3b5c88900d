//! A list of rules, read from a file or given as data, validated and compiled once.

use std::collections::BTreeSet;
use std::path::Path;

use super::reference::KEYS;
use super::refusal::Refusal;
use super::report::{Report, Row};
use super::rule::Rule;
use crate::config::RuleConfig;
use crate::error::{Error, Result};
use crate::fields::{Fields, Source, names, read_text};

/// A list of rules; the first one that matches an operation applies. Two lists are equal if they are written alike.
///
/// ```
/// use spiq::quant::{Rules, linear_only_rules};
/// let rules = Rules::new(&linear_only_rules("int8", "int8"))?;
/// assert_eq!(rules.len(), 1);
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Validates rules and compiles their paths.
    ///
    /// # Errors
    /// Of kind `Input`, naming the rule: a path that is not a regular expression, an unknown type, method or operation, or fields that
    /// conflict.
    pub fn new(configs: &[RuleConfig]) -> Result<Rules> {
        let rule = |(number, config): (usize, &RuleConfig)| {
            Rule::new(config).map_err(|refusal| Error::input(refusal.of_rule(number)))
        };
        Ok(Rules((1..).zip(configs).map(rule).collect::<Result<_>>()?))
    }

    /// Reads a file of `[[rules]]`.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read; of kind `Input`, as [`parse`](Rules::parse).
    pub fn load(path: &Path) -> Result<Rules> {
        Rules::parse(&read_text(path)?, &path.display().to_string())
    }

    /// Parses the text of a file of `[[rules]]`. `source` is the file's name in messages.
    ///
    /// # Errors
    /// Of kind `Input`, with the line: bad TOML, no rules, an unknown key, a value of the wrong type, and what [`new`](Rules::new) refuses.
    ///
    /// ```
    /// use spiq::quant::Rules;
    /// let rules = Rules::parse("[[rules]]\nweight_qtype = \"int8\"\ntile_size = 0.5", "rules.toml")?;
    /// assert_eq!(Rules::parse(&rules.to_toml(), "again")?, rules);
    /// let error = Rules::parse("[[rules]]\nweight_qtype = \"itn8\"", "rules.toml").expect_err("no such type");
    /// assert!(error.to_string().starts_with("rules.toml:2: rule 1: unknown quantized type `itn8`; did you mean `int8`?"));
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn parse(text: &str, source: &str) -> Result<Rules> {
        let source = Source { name: source, text };
        let table = source.parse()?;
        let tables = Fields::new(source, &table, "the file", 0, &names(&KEYS))?.tables("rules")?;
        let rule = |(number, (table, span)): (usize, (_, std::ops::Range<usize>))| {
            let fields = Fields::new(source, table, format!("rule {number}"), span.start, &names(RuleConfig::KEYS))?;
            let config = RuleConfig::read(&fields)?;
            Rule::new(&config).map_err(|refusal| fields.error_at(refusal.field, refusal.of_rule(number)))
        };
        Ok(Rules((1..).zip(tables).map(rule).collect::<Result<_>>()?))
    }

    /// The text of a file with these rules, every default written out.
    pub fn to_toml(&self) -> String {
        RuleConfig::file_of(&self.configs().collect::<Vec<_>>())
    }

    /// The rules as written.
    pub fn configs(&self) -> impl Iterator<Item = &RuleConfig> {
        self.0.iter().map(|rule| &rule.config)
    }

    /// Number of rules.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no rules, so that nothing is quantized.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Index of the first rule that matches an operation under a path; it applies to that operation.
    ///
    /// ```
    /// use spiq::config::RuleConfig;
    /// use spiq::quant::Rules;
    /// let rules = Rules::new(&[RuleConfig { module_path: "core/layers/[02]".into(), ..RuleConfig::default() }])?;
    /// assert_eq!(rules.find("core/layers/2", "dot_general"), Some(0));
    /// assert_eq!(rules.find("core/layers/20", "dot_general"), None);
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn find(&self, path: &str, op: &str) -> Option<usize> {
        self.0.iter().position(|rule| rule.matches(path, op))
    }

    /// The rules that apply to at least one operation of a program, and the indices of the others. `report` is that of the program with these
    /// rules, or without any.
    pub(crate) fn matched(&self, report: &Report) -> (Rules, Vec<usize>) {
        let used: BTreeSet<usize> = report.rows.iter().filter_map(|row| self.find(&row.path, row.op)).collect();
        let kept = used.iter().map(|index| self.0[*index].clone()).collect();
        (Rules(kept), (0..self.len()).filter(|index| !used.contains(index)).collect())
    }

    /// Whether a rule is the last one and matches everything in this report, and layers of any other number too: it is for the layers that
    /// models with these rules have besides.
    pub(crate) fn is_last_resort(&self, index: usize, report: &Report) -> bool {
        let another = |part: &str| if part.parse::<u32>().is_ok() { u32::MAX.to_string() } else { part.to_owned() };
        let matches = |row: &Row| {
            let other = row.path.split('/').map(another).collect::<Vec<_>>().join("/");
            [&row.path, &other].into_iter().all(|path| self.0[index].matches(path, row.op))
        };
        index + 1 == self.len() && !report.rows.is_empty() && report.rows.iter().all(matches)
    }

    pub(crate) fn get(&self, index: usize) -> &Rule {
        &self.0[index]
    }

    /// Whether a rule uses static scales.
    pub(crate) fn have_static_scales(&self) -> bool {
        self.static_axes().next().is_some()
    }

    /// The axes over which each rule with static scales averages its statistics.
    pub(crate) fn static_axes(&self) -> impl Iterator<Item = &[i64]> {
        self.0.iter().filter_map(Rule::static_axes)
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Rules) -> bool {
        self.configs().eq(other.configs())
    }
}

impl Refusal {
    /// The message for the rule with this number, from 1.
    fn of_rule(&self, number: usize) -> String {
        format!("rule {number}: {}", self.message)
    }
}
