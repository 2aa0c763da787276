//! Charts, drawn as SVG by the server: each with a title, a description, and its figures as a table.

use maud::{Markup, html};

use crate::console::format;

/// How wide a bar and the gap beside it are, and how high a chart is, in its own units.
const STEP: u64 = 10;
const HEIGHT: u64 = 100;

/// One bar.
pub(super) struct Bar {
    /// What it is about.
    pub(super) label: String,
    /// How high it is.
    pub(super) value: u64,
    /// The figure as people read it.
    pub(super) figure: String,
}

impl Bar {
    /// A bar that is a count.
    pub(super) fn count(label: String, value: u64) -> Self {
        Self { label, value, figure: format::count(value) }
    }
}

/// A chart of bars over time.
pub(super) struct Chart<'a> {
    /// What tells it from other charts of the page.
    pub(super) id: &'a str,
    /// What it shows.
    pub(super) title: &'a str,
    /// The same in a sentence.
    pub(super) about: &'a str,
    /// What the bars' labels are.
    pub(super) labels: &'a str,
    /// What the bars' figures are.
    pub(super) figures: &'a str,
    /// The bars, from the oldest on.
    pub(super) bars: Vec<Bar>,
}

impl Chart<'_> {
    /// The chart as it stands in a page.
    pub(super) fn show(&self) -> Markup {
        let (first, last) = (self.bars.first(), self.bars.last());
        let most = self.bars.iter().max_by_key(|bar| bar.value);
        html! {
            figure.chart id=(self.id) data-live {
                figcaption { h2 { (self.title) } p.quiet.small { (self.about) } }
                (bars(self.id, self.title, self.about, &self.bars))
                @if let (Some(first), Some(last), Some(most)) = (first, last, most) {
                    p.axis aria-hidden="true" { span { (first.label) } span { "most: " (most.figure) } span { (last.label) } }
                }
                (self.table())
            }
        }
    }

    fn table(&self) -> Markup {
        html! {
            details {
                summary { "Figures" span.unseen { " of " (self.title) } }
                table.rows {
                    thead { tr { th scope="col" { (self.labels) } th.end scope="col" { (self.figures) } } }
                    tbody { @for bar in &self.bars { tr { th scope="row" { (bar.label) } td.end.number { (bar.figure) } } } }
                }
            }
        }
    }
}

/// The bars alone.
pub(super) fn bars(id: &str, title: &str, about: &str, bars: &[Bar]) -> Markup {
    let width = STEP.saturating_mul(u64::try_from(bars.len()).unwrap_or_default());
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or_default().max(1);
    html! {
        svg viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-labelledby={ (id) "-title " (id) "-about" } {
            title id={ (id) "-title" } { (title) }
            desc id={ (id) "-about" } { (about) }
            line x1="0" x2=(width) y1=(HEIGHT) y2=(HEIGHT) {}
            @for (at, bar) in (0_u64..).zip(bars) {
                @let height = height(bar.value, most);
                rect x=(at.saturating_mul(STEP).saturating_add(1)) width=(STEP.saturating_sub(2)) y=(HEIGHT.saturating_sub(height)) height=(height) {
                    title { (bar.label) ": " (bar.figure) }
                }
            }
        }
    }
}

/// How high a bar is beside the highest; what is not nothing can be seen.
fn height(value: u64, most: u64) -> u64 {
    let share = u128::from(value).saturating_mul(HEIGHT.into()).checked_div(most.into()).unwrap_or_default();
    let height = u64::try_from(share).unwrap_or(HEIGHT);
    if value > 0 { height.max(2) } else { 0 }
}

/// A list of shares, the largest first, each with a bar of its length.
pub(super) fn ranks(ranks: &[(String, u64)]) -> Markup {
    let most = ranks.iter().map(|(_, value)| *value).max().unwrap_or_default();
    html! {
        ol.ranks {
            @for (label, value) in ranks {
                li {
                    span { (label) } span.number { (format::count(*value)) }
                    svg viewBox={ "0 0 " (HEIGHT) " 1" } preserveAspectRatio="none" aria-hidden="true" { rect width=(height(*value, most)) height="1" {} }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_shares_of_the_highest_and_never_too_low_to_see() {
        let heights = [0, 1, 500, 1_000].map(|value| height(value, 1_000));
        assert_eq!(heights, [0, 2, 50, 100]);
        assert_eq!(height(u64::MAX, u64::MAX), 100);
        assert_eq!(height(0, 0), 0);
    }
}
