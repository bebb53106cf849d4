//! [`Routing`]: who answers requests that name no mode.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Earlier defaults that are remembered.
const REMEMBERED: usize = 16;

/// Who answers requests that name no mode: one mode, or several that share them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// The mode that answers where nothing is shared.
    pub default: String,
    /// Modes that share the requests, with their weights (an A/B test); empty where the default answers all.
    #[serde(default)]
    pub weights: BTreeMap<String, u32>,
    /// The mode that answers the same requests in the background, to be compared.
    #[serde(default)]
    pub shadow: Option<String>,
    /// Earlier defaults, the last one last.
    #[serde(default)]
    pub previous: Vec<String>,
}

/// Whose request it is, so that a person is answered by the same model each time.
#[derive(Debug, Clone, Copy, Default)]
pub struct RouteKey<'a> {
    /// Whoever asks. Only a hash of it decides, and it is not kept.
    pub person: &'a str,
    /// The model, as [`crate::ModelIdentity`] writes it, that gave the last answer of the conversation.
    pub last_model: Option<&'a str>,
}

impl Routing {
    /// `default` answers everything.
    pub fn to(default: impl Into<String>) -> Self {
        Self { default: default.into(), weights: BTreeMap::new(), shadow: None, previous: Vec::new() }
    }

    /// `name` answers everything from now on.
    #[must_use]
    pub(crate) fn with_default(mut self, name: &str) -> Self {
        self.weights.clear();
        self.shadow = self.shadow.filter(|shadow| shadow != name);
        if self.default != name {
            self.previous.push(std::mem::replace(&mut self.default, name.to_owned()));
            let surplus = self.previous.len().saturating_sub(REMEMBERED);
            self.previous.drain(..surplus);
        }
        self
    }

    /// The modes that answer now.
    pub fn answering(&self) -> impl Iterator<Item = &str> {
        let default = self.weights.is_empty().then_some(self.default.as_str());
        default.into_iter().chain(self.weights.keys().map(String::as_str))
    }

    /// The modes that answer now, and the one that does in the background.
    pub fn needed(&self) -> impl Iterator<Item = &str> {
        self.answering().chain(self.shadow.as_deref())
    }

    /// Who answers a person: of several modes each one's share, and few change when a weight does
    /// (weighted rendezvous hashing: Schindelhauer and Schomaker, SPAA 2005).
    pub(crate) fn of_person(&self, person: &str) -> &str {
        let distance = |(name, weight): (&String, &u32)| {
            // Uniform in (0, 1), and never 0.
            let uniform = (hash(&[name, person]) >> 11) as f64 / (1_u64 << 53) as f64 + f64::EPSILON;
            -uniform.ln() / f64::from(*weight)
        };
        let nearest = self.weights.iter().min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        nearest.map_or(&self.default, |(name, _)| name)
    }
}

/// A hash that is the same in every process: FNV-1a, and the end of MurmurHash3, which spreads what
/// differs in the last letters only.
fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let fnv = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(weights: &[(&str, u32)]) -> Routing {
        let weights = weights.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect();
        Routing { weights, ..Routing::to("a") }
    }

    fn people() -> impl Iterator<Item = String> {
        (0..2_000).map(|number| format!("P{number:06}"))
    }

    #[test]
    fn shares_are_as_the_weights_say() {
        for (weights, expected) in [
            (vec![("a", 1), ("b", 1)], 0.5),
            (vec![("a", 90), ("b", 10)], 0.9),
            (vec![("a", 1), ("b", 1), ("c", 2)], 0.25),
        ] {
            let routing = shared(&weights);
            let to_a = people().filter(|person| routing.of_person(person) == "a").count();
            let share = to_a as f64 / 2_000.0;
            assert!((share - expected).abs() < 0.035, "{weights:?}: {share}");
        }
    }

    #[test]
    fn only_those_move_whose_share_does() {
        let (before, after) = (shared(&[("a", 90), ("b", 10)]), shared(&[("a", 80), ("b", 20)]));
        let moved: Vec<_> = people()
            .map(|person| (before.of_person(&person).to_owned(), after.of_person(&person).to_owned()))
            .collect();
        assert!(moved.iter().all(|(before, after)| before == after || (before == "a" && after == "b")));
        assert_eq!(people().filter(|person| shared(&[]).of_person(person) != "a").count(), 0);
    }

    #[test]
    fn earlier_defaults_are_remembered() {
        let routing = shared(&[("a", 1), ("b", 1)]).with_default("b").with_default("b").with_default("c");
        assert_eq!(routing, Routing { previous: vec!["a".into(), "b".into()], ..Routing::to("c") });
        let many = (0..99).fold(Routing::to("a"), |routing, n| routing.with_default(&n.to_string()));
        assert_eq!(many.previous.len(), REMEMBERED);
        assert_eq!(many.previous.last().unwrap(), "97");
    }
}
