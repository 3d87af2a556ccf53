//! Texts that the interface changes on the way to a prompt: alternatives in braces, and the names of saved files.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use super::model::{Model, Node, Role, within};
use super::shape::SAVING;
use super::widget::script_text;
use super::{ConvertError, LocalTime, MAX_BYTES, Options};

pub(super) struct Texts<'m> {
    model: &'m Model<'m>,
    chance: fastrand::Rng,
    now: Option<LocalTime>,
    /// Nodes by what names of files call them; made when first asked for.
    called: OnceCell<HashMap<&'m str, &'m Node<'m>>>,
}

impl<'m> Texts<'m> {
    pub(super) fn new(model: &'m Model<'m>, options: &Options) -> Self {
        Self {
            model,
            chance: fastrand::Rng::with_seed(options.seed),
            now: options.now,
            called: OnceCell::new(),
        }
    }

    /// Without comments, and with one of the alternatives of `a {red|blue} car`.
    pub(super) fn choose(&mut self, text: &str) -> String {
        choose(text, &mut self.chance, 0)
    }

    /// With `%date:yyyy-MM-dd%` and `%KSampler.seed%` filled in; other marks are left to the server.
    pub(super) fn fill_in(&self, text: &str) -> Result<String, ConvertError> {
        let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((before, behind)) = rest.split_once('%') {
            filled.push_str(before);
            let mark = behind.split_once('%').filter(|(mark, _)| !mark.is_empty());
            let value = mark.and_then(|(mark, behind)| Some((self.meaning(mark)?, behind)));
            match (value, mark) {
                (Some((value, behind)), _) => {
                    within(filled.len() + value.len(), "bytes in a prompt", MAX_BYTES)?;
                    filled.push_str(&value);
                    rest = behind;
                }
                (None, Some((mark, behind))) => {
                    filled.extend(["%", mark, "%"]);
                    rest = behind;
                }
                (None, None) => {
                    filled.push('%');
                    rest = behind;
                }
            }
        }
        Ok(filled + rest)
    }

    fn meaning(&self, mark: &str) -> Option<String> {
        let parts: Vec<&str> = mark.split('.').collect();
        if let [name, widget] = parts.as_slice() {
            return self.widget_text(name, widget);
        }
        let pattern = parts.first()?.strip_prefix("date:")?;
        Some(formatted(pattern, self.now?))
    }

    /// What a widget holds, fit to stand in the name of a file.
    fn widget_text(&self, name: &str, widget: &str) -> Option<String> {
        let node = self.called.get_or_init(|| called(self.model)).get(name)?;
        let held = self.model.values.get(node.widget(widget)?.cell);
        let text = held.filter(|value| !value.is_null()).map(script_text).unwrap_or_default();
        let unfit = |c: char| {
            c.is_ascii_control() || matches!(c, '/' | '?' | '<' | '>' | '\\' | ':' | '*' | '|' | '"')
        };
        Some(text.replace(unfit, "_"))
    }
}

/// The first node of each name, or else of each title.
fn called<'m>(model: &'m Model<'m>) -> HashMap<&'m str, &'m Node<'m>> {
    let nodes = || model.graphs.iter().flat_map(|graph| graph.nodes.values());
    let mut called = HashMap::new();
    for node in nodes() {
        if let Some(name) = name(node) {
            called.entry(name).or_insert(node);
        }
    }
    for node in nodes() {
        called.entry(node.title.as_str()).or_insert(node);
    }
    called
}

/// A node's name for this purpose is its class, unless its user gave it one.
fn name<'m>(node: &'m Node<'m>) -> Option<&'m str> {
    let own = node.saved.properties.get("Node name for S&R").and_then(Value::as_str);
    let of_class = matches!(node.role, Role::Class(_)) && !SAVING.contains(&node.class);
    own.or_else(|| of_class.then_some(node.class))
}

/// Braces within braces that are looked into; deeper ones stay as they are.
const MAX_BRACES: usize = 16;

fn choose(text: &str, chance: &mut fastrand::Rng, depth: usize) -> String {
    let text = without_comments(text);
    let (mut chosen, mut rest) = (String::with_capacity(text.len()), text.chars().peekable());
    while let Some(next) = rest.next() {
        match next {
            '\\' => push_escaped(&mut chosen, &mut rest),
            '{' if depth < MAX_BRACES => {
                let mut options = alternatives(&mut rest);
                let option = options.swap_remove(chance.usize(..options.len()));
                chosen.push_str(&choose(&option, chance, depth + 1));
            }
            other => chosen.push(other),
        }
    }
    unescaped(&chosen)
}

/// An escape and what it escapes. The interface writes `undefined` where the text ends behind one.
fn push_escaped(text: &mut String, rest: &mut Peekable<Chars<'_>>) {
    text.push('\\');
    match rest.next() {
        Some(escaped) => text.push(escaped),
        None => text.push_str("undefined"),
    }
}

/// What stands between the bars up to the closing brace, or the end; one at least.
fn alternatives(rest: &mut Peekable<Chars<'_>>) -> Vec<String> {
    let (mut options, mut option, mut depth) = (Vec::new(), String::new(), 0_usize);
    while let Some(next) = rest.next() {
        match next {
            '\\' => {
                push_escaped(&mut option, rest);
                continue;
            }
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '|' if depth == 0 => {
                options.push(std::mem::take(&mut option));
                continue;
            }
            _ => {}
        }
        option.push(next);
    }
    options.push(option);
    options
}

/// Without `/* ... */` and `// ...`; a comment that is not closed is none.
fn without_comments(text: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    let last_end = text.rfind("*/").unwrap_or(0);
    while let Some((before, behind)) = rest.split_once('/') {
        kept.push_str(before);
        let may_end = text.len() - behind.len() < last_end;
        let block = behind.strip_prefix('*').filter(|_| may_end).and_then(|inside| inside.split_once("*/"));
        rest = if let Some((_, behind)) = block {
            behind
        } else if let Some(line) = behind.strip_prefix('/') {
            line.find(['\n', '\r', '\u{2028}', '\u{2029}'])
                .and_then(|end| line.get(end..))
                .unwrap_or_default()
        } else {
            kept.push('/');
            behind
        };
    }
    kept + rest
}

fn unescaped(text: &str) -> String {
    text.replace("\\{", "{").replace("\\}", "}").replace("\\|", "|")
}

/// `d`, `M`, `h`, `m`, `s`, each also with two digits, `yy` and `yyyy`; everything else stays.
fn formatted(pattern: &str, now: LocalTime) -> String {
    let (mut text, mut rest) = (String::new(), pattern);
    while let Some(first) = rest.chars().next() {
        let longest = if first == 'y' { 4 } else { 2 };
        let taken = rest.chars().take(longest).take_while(|c| *c == first).count();
        let part = match first {
            'd' => Some(now.day),
            'M' => Some(now.month),
            'h' => Some(now.hour),
            'm' => Some(now.minute),
            's' => Some(now.second),
            _ => None,
        };
        match (part, first, taken) {
            (Some(number), ..) => text.push_str(&format!("{number:0taken$}")),
            (None, 'y', 4) => text.push_str(&now.year.to_string()),
            (None, 'y', 2) => text.push_str(&format!("{:02}", now.year.rem_euclid(100))),
            _ => text.extend(rest.chars().take(taken)),
        }
        rest = rest.char_indices().nth(taken).and_then(|(at, _)| rest.get(at..)).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> String {
        choose(text, &mut fastrand::Rng::with_seed(1), 0)
    }

    #[test]
    fn comments_and_braces_are_resolved_and_escapes_removed() {
        for (text, expected) in [
            ("a cat", "a cat"),
            ("a {red} cat", "a red cat"),
            ("a /* not\nthis */cat // nor this\nruns", "a cat \nruns"),
            ("an open /* comment stays", "an open /* comment stays"),
            (r"\{kept\} \(as it is\) a\|b", r"{kept} \(as it is\) a|b"),
            ("{same|same|{same|same}}", "same"),
            ("an open {brace", "an open brace"),
            (r"ends with \", r"ends with \undefined"),
            ("1/2", "1/2"),
            ("", ""),
        ] {
            assert_eq!(chosen(text), expected, "{text}");
        }
    }

    #[test]
    fn every_alternative_comes_up_and_a_seed_decides_which() {
        let of = |seed| choose("{red|green|blue}", &mut fastrand::Rng::with_seed(seed), 0);
        let mut seen: Vec<String> = (0..100).map(of).collect();
        assert_eq!(of(7), of(7));
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["blue", "green", "red"]);
    }

    #[test]
    fn braces_without_end_do_not_exhaust_the_stack() {
        let deep = "{".repeat(1_000_000);
        assert_eq!(chosen(&deep).len(), deep.len() - MAX_BRACES);
    }

    #[test]
    fn comments_without_end_are_looked_for_once() {
        let open = "/* ".repeat(1_000_000);
        assert_eq!(chosen(&open), open);
        assert_eq!(chosen(&format!("/* closed */{open}")), open);
    }

    #[test]
    fn dates_are_written_as_asked() {
        let now = LocalTime { year: 2026, month: 3, day: 9, hour: 14, minute: 5, second: 7 };
        for (pattern, expected) in [
            ("yyyy-MM-dd", "2026-03-09"),
            ("hhmmss", "140507"),
            ("yy/M/d h:m:s", "26/3/9 14:5:7"),
            ("yyy x", "yyy x"),
            ("", ""),
        ] {
            assert_eq!(formatted(pattern, now), expected, "{pattern}");
        }
    }
}
