//! Conditions as kstatus reads them: `Ready`, and `Reconciling` or `Stalled` only while they hold.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Reason, reason::Telling};

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl State {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for State {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// What one condition is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub state: State,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

impl Verdict {
    /// A verdict whose message is the reason's own, with `args` filled in.
    pub fn new(state: impl Into<State>, reason: Reason, args: &[(&str, &str)]) -> Self {
        Self { state: state.into(), reason, message: reason.message(args) }
    }
}

/// The conditions of one object, to be built anew over the old ones: what did not change keeps its time.
#[derive(Clone, Debug)]
pub struct Conditions<'a> {
    old: &'a [Condition],
    generation: Option<i64>,
    now: jiff::Timestamp,
    new: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Nothing set yet.
    pub fn over(old: &'a [Condition], generation: Option<i64>, now: jiff::Timestamp) -> Self {
        Self { old, generation, now, new: Vec::new() }
    }

    /// Sets one condition. Its transition time moves only with its status.
    #[must_use]
    pub fn set(mut self, type_: &str, verdict: &Verdict) -> Self {
        let status = verdict.state.as_str();
        let since = find(self.old, type_).filter(|c| c.status == status).map(|c| c.last_transition_time.clone());
        self.new.push(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_string(),
            message: verdict.message.clone(),
            observed_generation: self.generation,
            last_transition_time: since.unwrap_or_else(|| Time(seconds(self.now))),
        });
        self
    }

    /// Sets a condition only while it holds, as kstatus wants `Reconciling` and `Stalled`.
    #[must_use]
    pub fn set_while(self, type_: &str, verdict: Option<&Verdict>) -> Self {
        match verdict {
            Some(verdict) => self.set(type_, verdict),
            None => self,
        }
    }

    /// Leaves a condition as it was; where there was none, sets it.
    #[must_use]
    pub fn keep_or(mut self, type_: &str, first: &Verdict) -> Self {
        match find(self.old, type_) {
            Some(condition) => {
                self.new.push(Condition { observed_generation: self.generation, ..condition.clone() });
                self
            }
            None => self.set(type_, first),
        }
    }

    /// Sets a condition where there is a verdict, else leaves it as it was.
    #[must_use]
    pub fn set_or_keep(self, type_: &str, verdict: Option<&Verdict>, first: &Verdict) -> Self {
        match verdict {
            Some(verdict) => self.set(type_, verdict),
            None => self.keep_or(type_, first),
        }
    }

    /// The new conditions.
    pub fn done(self) -> Vec<Condition> {
        self.new
    }
}

/// The condition of this type, if it is set.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether a condition stands for this reason.
pub fn has_reason(conditions: &[Condition], reason: Reason) -> bool {
    conditions.iter().any(|condition| condition.reason == reason.as_str())
}

/// What a condition newly warns of: a reason that someone must act on and that was not there before.
pub fn new_warning<'a>(old: &[Condition], new: &'a [Condition], type_: &str) -> Option<(Reason, &'a str)> {
    let condition = find(new, type_)?;
    let reason = Reason::parse(&condition.reason).filter(|reason| reason.telling() == Telling::Warning)?;
    let told = find(old, type_).is_some_and(|before| before.reason == condition.reason);
    (!told).then_some((reason, condition.message.as_str()))
}

/// `metav1.Time` has whole seconds; with more, the object read back would differ from the one written.
fn seconds(at: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    fn ready(state: State, message: &str) -> Verdict {
        Verdict { state, reason: Reason::Synced, message: message.into() }
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let first = Conditions::over(&[], Some(1), at(10)).set("Ready", &ready(State::True, "a")).done();
        let second = Conditions::over(&first, Some(2), at(20)).set("Ready", &ready(State::True, "b")).done();
        assert_eq!(second[0].last_transition_time, first[0].last_transition_time);
        assert_eq!((second[0].message.as_str(), second[0].observed_generation), ("b", Some(2)));
        let third = Conditions::over(&second, Some(2), at(30)).set("Ready", &ready(State::False, "b")).done();
        assert_eq!(third[0].last_transition_time.0, at(30));
    }

    #[test]
    fn what_is_not_set_again_is_gone() {
        let stalled = Conditions::over(&[], None, at(1)).set_while("Stalled", Some(&ready(State::True, ""))).done();
        assert!(Conditions::over(&stalled, None, at(2)).set_while("Stalled", None).done().is_empty());
    }
}
