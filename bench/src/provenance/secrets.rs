//! The command line without what nobody else should read: results are kept and passed on.

/// Words in the name of a setting or option whose value is a secret.
const SECRET: [&str; 6] = ["password", "secret", "token", "jaas", "credential", "api-key"];

/// Stands for a secret.
const HIDDEN: &str = "***";

/// A command line with the values of secret options and settings replaced: `--password X`, `--password=X`,
/// `-X sasl.password=X`, `kafka,a=b,ssl.key.password=X`.
pub fn hidden(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut value_follows = false;
    let shown = arguments.map(|argument| {
        if std::mem::take(&mut value_follows) && !argument.starts_with("--") {
            return HIDDEN.to_owned();
        }
        value_follows =
            argument.starts_with('-') && !argument.contains('=') && is_secret(&argument);
        without_values(&argument)
    });
    shown.collect()
}

/// All of an argument up to the value of a secret setting. What follows is hidden too: the value may have commas in it.
fn without_values(argument: &str) -> String {
    let mut shown = String::new();
    for part in argument.split_inclusive(',') {
        match part.split_once('=') {
            Some((name, _)) if is_secret(name) => return format!("{shown}{name}={HIDDEN}"),
            _ => shown += part,
        }
    }
    shown
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    SECRET.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_reach_a_result() {
        let check = |given: &str, expected: &str| {
            let shown = hidden(given.split(' ').map(str::to_owned)).join(" ");
            assert_eq!(shown, expected);
        };
        check("heddle bench run --rate 1000/s", "heddle bench run --rate 1000/s");
        check("run --password hunter2 -b h:1", "run --password *** -b h:1");
        check("run --sasl-password=hunter2", "run --sasl-password=***");
        check("run -X sasl.jaas.config=a=b", "run -X sasl.jaas.config=***");
        check("run --sasl-password=a,b", "run --sasl-password=***");
        check("run kafka,a=b,ssl.key.password=x,c=d", "run kafka,a=b,ssl.key.password=***");
        check("run --token --quiet", "run --token --quiet");
        check("run API_KEY=1", "run API_KEY=***");
    }
}
