//! The first host in a list of SLURM's: `node[003-005,7],other` begins with `node003`.

/// The first host; `None` for a list that is not of this form.
pub(super) fn first_host(list: &str) -> Option<String> {
    let end = list.find([',', '[']).unwrap_or(list.len());
    let (head, rest) = list.split_at(end);
    let host = match rest.strip_prefix('[') {
        Some(numbers) => {
            let number = &numbers[..numbers.find([',', '-', ']'])?];
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let after = numbers.split_once(']')?.1;
            let suffix = after.split(',').next().unwrap_or_default();
            is_number.then(|| format!("{head}{number}{suffix}"))?
        }
        None => head.to_owned(),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_name)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::first_host;

    #[test]
    fn the_first_host_of_a_list() {
        let cases = [
            ("node7", Some("node7")),
            ("a-1,b[2-3]", Some("a-1")),
            ("node[003-005,7],other", Some("node003")),
            ("gpu[12].cluster", Some("gpu12.cluster")),
            ("n[9,11]", Some("n9")),
            ("", None),
            ("n[", None),
            ("n[]", None),
            ("n[x-y]", None),
            ("a b", None),
        ];
        cases.iter().for_each(|(list, host)| assert_eq!(first_host(list).as_deref(), *host, "{list}"));
    }
}
