//! The tables of the pages in docs/ that the programs' own descriptions are the source of. A table stands between two lines,
//! `<!-- made: NAME -->` and `<!-- end -->`; what people wrote around it stays.

mod configuration;
pub mod metrics;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Makes one table, by the name that a page calls it by; `None`: there is none of that name.
type Made = fn(&str) -> Result<Option<String>>;

/// The pages that have such tables, in the folder docs.
const PAGES: [(&str, Made); 2] = [("metrics.md", metrics::table), ("configuration.md", configuration::table)];

/// The pages as they are to be: name and text. `folder`: docs.
///
/// # Errors
/// A page cannot be read, or asks for what is not made.
pub fn made(folder: &Path) -> Result<Vec<(&'static str, String)>> {
    let page = |(name, table): (&'static str, Made)| {
        let text = fs::read_to_string(folder.join(name)).with_context(|| format!("read {name}"))?;
        let text = filled(&text, table).with_context(|| format!("make the tables of {name}"))?;
        Ok((name, text))
    };
    PAGES.into_iter().map(page).collect()
}

/// Writes them.
///
/// # Errors
/// As [`made`], or a page cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    for (name, text) in made(folder)? {
        fs::write(folder.join(name), text).with_context(|| format!("write {name}"))?;
    }
    Ok(())
}

const END: &str = "<!-- end -->";

fn filled(page: &str, table: Made) -> Result<String> {
    let (mut text, mut rest) = (String::new(), page);
    while let Some((before, after)) = rest.split_once("<!-- made: ") {
        let (name, after) = after.split_once(" -->\n").context("a line of a table has no end")?;
        let (_, after) = after.split_once(END).with_context(|| format!("the table {name} has no end"))?;
        let Some(made) = table(name)? else { bail!("there is no table {name}") };
        text.push_str(&format!("{before}<!-- made: {name} -->\n{made}{END}"));
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

/// A table in Markdown.
fn markdown(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let cell = |text: &String| {
        if text.is_empty() { " |".to_owned() } else { format!(" {} |", text.replace('|', "\\|")) }
    };
    let line = |cells: Vec<String>| format!("|{}\n", cells.iter().map(cell).collect::<String>());
    let head_line = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    [head_line, rule].into_iter().chain(rows.into_iter().map(line)).collect()
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> Result<Option<String>> {
        Ok((name == "letters").then(|| markdown(&["a", "b"], [vec!["x|y".into(), code("")]])))
    }

    #[test]
    fn a_table_is_made_anew_and_what_stands_around_it_stays() {
        let page = "# A\n<!-- made: letters -->\nold\n<!-- end -->\n\nwords\n";
        let wanted =
            "# A\n<!-- made: letters -->\n| a | b |\n|---|---|\n| x\\|y | |\n<!-- end -->\n\nwords\n";
        assert_eq!(filled(page, table).unwrap(), wanted);
        assert_eq!(filled(wanted, table).unwrap(), wanted);
    }

    #[test]
    fn a_table_that_nobody_makes_and_one_without_an_end_are_mistakes() {
        for page in ["<!-- made: numbers -->\n<!-- end -->", "<!-- made: letters -->\n", "<!-- made: letters"]
        {
            assert!(filled(page, table).is_err(), "{page}");
        }
    }
}
