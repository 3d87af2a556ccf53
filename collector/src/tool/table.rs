//! Aligned columns, with colours for what is good and bad. Pure; whether colours are shown is the output's to say.

use anstyle::{AnsiColor, Style};

use super::output::harmless;

/// One field of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Names may be strangers': nothing in them commands a terminal, and none breaks a line.
    pub(super) fn of(text: impl AsRef<str>) -> Self {
        Self { text: harmless(text.as_ref()).replace('\n', " "), style: Style::new() }
    }

    /// What is not known shows as a dash.
    pub(super) fn known(text: Option<impl AsRef<str>>) -> Self {
        text.map_or_else(|| Self::of("-"), Self::of)
    }

    /// A state in the colour of its kind.
    pub(super) fn state(state: &str) -> Self {
        let colour = match state {
            "up" | "succeeded" => Some(AnsiColor::Green),
            "down" | "failed" => Some(AnsiColor::Red),
            "waiting" | "unknown" | "draining" | "drained" | "interrupted" | "cancelled" => {
                Some(AnsiColor::Yellow)
            }
            "running" | "dispatched" => Some(AnsiColor::Cyan),
            _ => None,
        };
        Self { style: Style::new().fg_color(colour.map(Into::into)), ..Self::of(state) }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn shown(&self, width: usize) -> String {
        let Self { text, style } = self;
        let blanks = " ".repeat(width.saturating_sub(self.width()));
        format!("{style}{text}{style:#}{blanks}")
    }
}

/// A line of titles and one for each row.
pub(super) fn table<const N: usize>(titles: [&str; N], rows: &[[Cell; N]]) -> String {
    let bold = |title: &str| Cell { style: Style::new().bold(), ..Cell::of(title) };
    let head = titles.map(bold);
    let width = |at: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(at));
        cells.map(Cell::width).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    [&head].into_iter().chain(rows).map(|row| line(row, &widths)).collect()
}

/// `name  value` lines, aligned.
pub(super) fn pairs(rows: &[(&str, Cell)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    rows.iter().map(|(name, cell)| format!("{name:width$}  {}\n", cell.shown(0))).collect()
}

/// Nothing stands behind the last column.
fn line(cells: &[Cell], widths: &[usize]) -> String {
    let shown = cells.iter().zip(widths).enumerate().map(|(at, (cell, width))| {
        let is_last = at + 1 == cells.len();
        cell.shown(if is_last { 0 } else { *width })
    });
    shown.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_and_colours_take_no_room() {
        let rows = [
            [Cell::of("gpu-1"), Cell::state("up"), Cell::known(None::<&str>)],
            [Cell::of("b"), Cell::state("unknown"), Cell::of("Größe")],
        ];
        let shown = table(["ID", "STATE", "GPU"], &rows);
        assert!(shown.contains('\u{1b}'));
        assert_eq!(plain(&shown), "ID     STATE    GPU\ngpu-1  up       -\nb      unknown  Größe\n");
    }

    #[test]
    fn a_name_neither_commands_a_terminal_nor_breaks_a_line() {
        assert_eq!(
            plain(&pairs(&[("a", Cell::of("x\u{1b}[2J\ny")), ("long", Cell::of("z"))])),
            "a     x\\u{1b}[2J y\nlong  z\n"
        );
    }
}
