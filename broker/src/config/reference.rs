//! The reference page of all properties, written from the registry.

use std::fmt::Write as _;

use super::environment::variable_name;
use super::property::{Effect, Property};
use super::registry::{ACCEPTED, BROKER, OWN, REFUSED, TOPIC};

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `heddle generate config-reference`; a test fails when this page and the code differ. -->

Values come from, in rising order: built-in defaults, the file named by `--config`, the environment,
flags. A topic's own settings (`heddle topic alter`, `kafka-configs`) go before all of them.

- The file has the syntax of Kafka's `server.properties`.
- The environment spells a property in capitals, with `.` as `_`, `_` as `__` and `-` as `___`, behind
  `KAFKA_` for Kafka's properties and `HEDDLE_` for Heddle's own: `KAFKA_NUM_PARTITIONS=4`,
  `HEDDLE_ACK_DURABILITY=written`. `CLUSTER_ID` sets `cluster.id`.
- Flags: `--listen HOST:PORT` sets `listeners`, `--advertise HOST:PORT` sets `advertised.listeners`,
  `--data DIR` sets `log.dirs`, `--shards N` sets `shards`, and `--override name=value` sets any property.
- Bytes may be written with `KiB`, `MiB`, `GiB`; milliseconds with `s`, `m`, `h`, `d`.

A name that does not exist, and a value that cannot be, stop the start with the line, the reason and the
closest name that exists.
";

/// The page, as Markdown.
pub fn reference_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "Heddle's own properties", "", OWN);
    section(&mut page, "Kafka's broker properties", "They mean what they mean in Kafka.", BROKER);
    section(
        &mut page,
        "Topic properties",
        "All of them can be changed while the broker runs.",
        TOPIC,
    );
    page.push_str(
        "\n## Accepted without effect\n\n\
         Kafka's files carry these. They are checked, named once in the log, and do nothing. So do \
         `metric.reporters`, `metrics.*`, `kafka.metrics.*` and whatever names a Java class.\n\n\
         | property | why |\n|---|---|\n",
    );
    for property in ACCEPTED {
        if let Effect::Mapped(why) | Effect::NoEffect(why) = property.effect {
            row(&mut page, &[&format!("`{}`", property.name), why]);
        }
    }
    page.push_str(
        "\n## Refused\n\n\
         These stop the start, because ignoring them would do harm or hide a mistake.\n\n\
         | property | why | instead |\n|---|---|---|\n",
    );
    for refused in REFUSED {
        row(&mut page, &[&format!("`{}`", refused.pattern), refused.why, refused.fix]);
    }
    page
}

fn section(page: &mut String, title: &str, sentence: &str, properties: &[Property]) {
    write!(page, "\n## {title}\n").expect("a string takes all writes");
    if !sentence.is_empty() {
        write!(page, "\n{sentence}\n").expect("a string takes all writes");
    }
    for property in properties {
        describe(page, property);
    }
}

fn describe(page: &mut String, property: &Property) {
    write!(page, "\n### `{}`\n\n{}", property.name, property.doc)
        .expect("a string takes all writes");
    if let Effect::NoEffect(why) | Effect::Mapped(why) = property.effect {
        write!(page, " *Accepted without effect: {why}*").expect("a string takes all writes");
    }
    let mut facts = vec![property.kind.name().to_owned()];
    facts.push(match property.default {
        None => "unset".into(),
        Some(default) => format!("default `{default}`"),
    });
    if !property.unit.name().is_empty() {
        facts.push(format!("in {}", property.unit.name()));
    }
    if !property.kind.allowed().is_empty() && property.kind.name() != "boolean" {
        facts.push(format!("allowed: {}", property.kind.allowed()));
    }
    if !property.aliases.is_empty() {
        facts.push(format!("also `{}`", property.aliases.join("`, `")));
    }
    if property.dynamic {
        let behind: Vec<_> = property.synonyms.iter().map(|s| format!("`{}`", s.name)).collect();
        if !behind.is_empty() {
            facts.push(format!("from the broker's {}", behind.join(", ")));
        }
    } else {
        facts.push(format!("`{}`", variable_name(property.name, property.own)));
    }
    writeln!(page, "\n<br>{}", facts.join(" · ")).expect("a string takes all writes");
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(page, "| {} |", cells.join(" | ")).expect("a string takes all writes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_what_the_registry_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operate/configuration.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == reference_page(),
            "docs/operate/configuration.md is out of date: \
             heddle generate config-reference > docs/operate/configuration.md"
        );
    }
}
