//! Stop strings, found across the pieces in which a text arrives.

/// What a piece of text brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopMatch {
    /// Text that certainly belongs to the answer; the rest is held back.
    Text(String),
    /// The text before a stop string, which is the end.
    Stopped(String),
}

/// Holds back what could be the beginning of a stop string.
#[derive(Debug, Default)]
pub(crate) struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

impl StopMatcher {
    /// A matcher for `stops`; empty strings never match.
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(), held: String::new() }
    }

    /// Adds a piece of text.
    pub(crate) fn push(&mut self, text: &str) -> StopMatch {
        self.held.push_str(text);
        if let Some(start) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            let before = self.held[..start].to_owned();
            self.held.clear();
            return StopMatch::Stopped(before);
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        StopMatch::Text(self.held.drain(..self.held.len() - keep).collect())
    }

    /// What was held back, when the text has ended for another reason.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes at the end of `text` that are a proper beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    let fits = |len: &usize| stop.is_char_boundary(*len) && text.ends_with(&stop[..*len]);
    (1..=longest).rev().find(fits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text before the first stop string, by the book.
    fn expected(text: &str, stops: &[String]) -> String {
        let end = stops.iter().filter_map(|stop| text.find(stop.as_str())).min();
        text[..end.unwrap_or(text.len())].to_owned()
    }

    proptest! {
        #[test]
        fn any_split_finds_the_first_stop(
            pieces in prop::collection::vec("[ab é]{0,3}", 0..12), stops in prop::collection::vec("[ab é]{1,3}", 0..3)
        ) {
            let mut matcher = StopMatcher::new(stops.clone());
            let mut found = String::new();
            let mut stopped = false;
            for piece in &pieces {
                match matcher.push(piece) {
                    StopMatch::Text(text) => found.push_str(&text),
                    StopMatch::Stopped(text) => {
                        found.push_str(&text);
                        stopped = true;
                        break;
                    }
                }
            }
            if !stopped {
                found.push_str(&matcher.finish());
            }
            let whole: String = pieces.concat();
            let wanted = expected(&whole, &stops);
            // Two stops may overlap: the one that is whole first ends the text.
            prop_assert!(found == wanted || (stopped && whole.starts_with(&found) && found.len() >= wanted.len()));
        }
    }

    #[test]
    fn a_stop_across_pieces_is_found_and_cut() {
        let mut matcher = StopMatcher::new(vec!["END".to_owned(), String::new()]);
        assert_eq!(matcher.push("fine E"), StopMatch::Text("fine ".to_owned()));
        assert_eq!(matcher.push("N"), StopMatch::Text(String::new()));
        assert_eq!(matcher.push("Done"), StopMatch::Stopped(String::new()));
    }
}
