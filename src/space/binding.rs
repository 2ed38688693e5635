//! Who has a namespace: one space, chosen from what stands in the objects, so that every replica says the same.
//!
//! Statuses are written one after the other. So the choice must not move while only some of them have been written: what
//! a claimant writes because of a choice must be a reason for the same choice. The property test at the end holds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::ResourceExt;

use crate::{
    cluster::cache::Key,
    operator::context::Context,
    resources::{Space, names::TAKE_OVER, space::BindingState},
};

/// What one claimant has of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the holder.
    Bound,
    /// Another space has it, or had it when it was last seen.
    Waiting {
        /// Which.
        holder: String,
    },
    /// The namespace can never be a space's.
    Refused,
}

/// Who has a namespace, and what that means for each claimant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The space that has it.
    pub holder: Option<String>,
    /// Each claimant's claim, by its name.
    pub claims: BTreeMap<String, Claim>,
}

/// Decides who of the `claimants` has the namespace: all Spaces whose spec lists it are among them, and one that
/// does so no longer may be, since an index is told of changes in no certain order. `exists` says whether there is a Space
/// of a name: one that went may come back by GitOps and is waited for, one that is there and lists the namespace no longer
/// has let go.
pub fn resolve(
    namespace: &str,
    own_namespace: &str,
    claimants: &[Arc<Space>],
    exists: &dyn Fn(&str) -> bool,
) -> Resolution {
    if namespace == own_namespace {
        // A sync there could name any Secret of the embedded store as its target, and credentials lie beside them.
        let claims = claimants.iter().map(|space| (space.name_any(), Claim::Refused)).collect();
        return Resolution { holder: None, claims };
    }
    let lists = |space: &&Arc<Space>| space.spec.namespaces.iter().any(|listed| listed == namespace);
    let claimants: Vec<_> = claimants.iter().filter(lists).cloned().collect();
    let field = Field::of(namespace, &claimants, exists);
    let holder = field.holder().map(str::to_owned);
    let claims = field.by_age.iter().map(|rival| (rival.name.clone(), field.claim(rival, holder.as_deref())));
    Resolution { claims: claims.collect(), holder }
}

/// The Space that has a namespace.
pub fn holder_of(ctx: &Context, namespace: &str) -> Option<Arc<Space>> {
    let holder = resolution(ctx, namespace).holder?;
    ctx.caches.spaces.get(&Key::cluster(&holder))
}

/// Who has a namespace, by what is known of the Spaces right now.
pub fn resolution(ctx: &Context, namespace: &str) -> Resolution {
    let space = |name: &str| ctx.caches.spaces.get(&Key::cluster(name));
    let claimants: Vec<_> = ctx.claims.of(namespace).iter().filter_map(|name| space(name)).collect();
    resolve(namespace, &ctx.settings.namespace, &claimants, &|name| space(name).is_some())
}

/// One claimant of one namespace.
#[derive(Debug)]
struct Rival {
    name: String,
    recorded: Recorded,
    takes_over: bool,
}

/// What a claimant's status says of the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Recorded {
    Nothing,
    Bound,
    Waiting(String),
}

/// The claimants of one namespace, the oldest first.
#[derive(Debug)]
struct Field {
    by_age: Vec<Rival>,
}

/// Where following who waits for whom ends.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End<'a> {
    /// At a claimant that waits for nobody, or at the oldest of a circle.
    At(&'a str),
    /// At a Space that does not exist at present.
    Gone(&'a str),
}

impl Field {
    fn of(namespace: &str, claimants: &[Arc<Space>], exists: &dyn Fn(&str) -> bool) -> Self {
        let mut by_age: Vec<_> = claimants.iter().collect();
        by_age.sort_by_cached_key(|space| (space.creation_timestamp().map(|t| t.0), space.name_any()));
        let names: BTreeSet<String> = claimants.iter().map(|space| space.name_any()).collect();
        let is_awaited = |name: &str| names.contains(name) || !exists(name);
        let rival = |space: &&Arc<Space>| Rival {
            name: space.name_any(),
            recorded: recorded(space, namespace, &is_awaited),
            takes_over: takes_over(space, namespace),
        };
        Self { by_age: by_age.iter().map(rival).collect() }
    }

    /// An admin's word first, then who has it, then who had it, then age.
    fn holder(&self) -> Option<&str> {
        let is_bound = |rival: &Rival| rival.recorded == Recorded::Bound;
        self.oldest(|rival| rival.takes_over && is_bound(rival))
            .or_else(|| self.oldest(|rival| rival.takes_over))
            .or_else(|| self.oldest(is_bound))
            .or_else(|| self.awaited())
    }

    fn oldest(&self, wanted: impl Fn(&Rival) -> bool) -> Option<&str> {
        self.by_age.iter().find(|rival| wanted(rival)).map(|rival| rival.name.as_str())
    }

    /// Nobody is recorded as the holder: it is who the others wait for, or, when nobody waits, the oldest.
    fn awaited(&self) -> Option<&str> {
        let ends = self.ends();
        self.oldest(|rival| ends.is_empty() || ends.contains(&End::At(&rival.name)))
    }

    /// Who is waited for in the end.
    fn ends(&self) -> BTreeSet<End<'_>> {
        self.by_age.iter().filter(|rival| matches!(rival.recorded, Recorded::Waiting(_))).map(|r| self.end(r)).collect()
    }

    fn end<'a>(&'a self, from: &'a Rival) -> End<'a> {
        let mut way = vec![from];
        loop {
            let at = way[way.len() - 1];
            let Recorded::Waiting(next) = &at.recorded else { return End::At(&at.name) };
            let Some(next) = self.by_age.iter().find(|rival| rival.name == *next) else { return End::Gone(next) };
            if let Some(start) = way.iter().position(|rival| rival.name == next.name) {
                let circle = &way[start..];
                let oldest = self.by_age.iter().find(|rival| circle.iter().any(|r| r.name == rival.name));
                return End::At(&oldest.unwrap_or(next).name);
            }
            way.push(next);
        }
    }

    fn claim(&self, rival: &Rival, holder: Option<&str>) -> Claim {
        let gone = |end: End<'_>| match end {
            End::Gone(name) => Some(name.to_owned()),
            End::At(_) => None,
        };
        match holder {
            Some(holder) if holder == rival.name => Claim::Bound,
            Some(holder) => Claim::Waiting { holder: holder.to_owned() },
            // Without a holder, somebody waits for one that went, and everybody else waits with them.
            None => match gone(self.end(rival)).or_else(|| self.ends().into_iter().find_map(gone)) {
                Some(holder) => Claim::Waiting { holder },
                None => Claim::Bound,
            },
        }
    }
}

fn recorded(space: &Space, namespace: &str, is_awaited: &dyn Fn(&str) -> bool) -> Recorded {
    let entry = space.status.iter().flat_map(|status| &status.namespaces).find(|entry| entry.name == namespace);
    let Some(entry) = entry else { return Recorded::Nothing };
    match (entry.state, &entry.waiting_for) {
        (BindingState::Bound, _) => Recorded::Bound,
        (BindingState::Waiting | BindingState::Unbinding, Some(holder)) if is_awaited(holder) => {
            Recorded::Waiting(holder.clone())
        }
        // Also a claimant whose holder let go by itself.
        _ => Recorded::Nothing,
    }
}

/// Whether an admin lets this Space take the namespace over. Several namespaces may be named, separated by commas.
fn takes_over(space: &Space, namespace: &str) -> bool {
    space.annotations().get(TAKE_OVER).is_some_and(|names| names.split(',').any(|name| name.trim() == namespace))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use proptest::prelude::*;

    use super::*;
    use crate::resources::{SpaceSpec, SpaceStatus, space::NamespaceStatus};

    const NS: &str = "newsroom-dev";

    fn space(name: &str, created: i64) -> Space {
        let mut space = Space::new(name, SpaceSpec { namespaces: vec![NS.into()], ..SpaceSpec::default() });
        space.metadata.creation_timestamp = Some(Time(jiff::Timestamp::from_second(created).unwrap()));
        space
    }

    fn with(mut space: Space, state: BindingState, waiting_for: Option<&str>) -> Space {
        let waiting_for = waiting_for.map(str::to_owned);
        let entry = NamespaceStatus { name: NS.into(), state, waiting_for, message: None, api_config_map: None };
        space.status = Some(SpaceStatus { namespaces: vec![entry], ..SpaceStatus::default() });
        space
    }

    fn bound(space: Space) -> Space {
        with(space, BindingState::Bound, None)
    }

    fn waiting(space: Space, holder: &str) -> Space {
        with(space, BindingState::Waiting, Some(holder))
    }

    fn taking_over(mut space: Space) -> Space {
        space.annotations_mut().insert(TAKE_OVER.into(), NS.into());
        space
    }

    /// Resolves where no other Space exists than the claimants and `others`.
    fn resolve_with(claimants: &[Space], others: &[&str]) -> Resolution {
        let claimants: Vec<_> = claimants.iter().cloned().map(Arc::new).collect();
        let exists = |name: &str| others.contains(&name) || claimants.iter().any(|space| space.name_any() == name);
        resolve(NS, "spacesync-system", &claimants, &exists)
    }

    fn holder(claimants: &[Space], others: &[&str]) -> Option<String> {
        resolve_with(claimants, others).holder
    }

    fn waits_for(holder: &str) -> Claim {
        Claim::Waiting { holder: holder.into() }
    }

    #[test]
    fn on_a_fresh_clash_the_older_space_gets_the_namespace_and_then_the_name_decides() {
        assert_eq!(holder(&[space("young", 2), space("old", 1)], &[]).as_deref(), Some("old"));
        assert_eq!(holder(&[space("b", 1), space("a", 1)], &[]).as_deref(), Some("a"));
    }

    #[test]
    fn the_holder_keeps_the_namespace_against_an_older_space() {
        let resolution = resolve_with(&[space("older", 1), bound(space("holder", 2))], &[]);
        assert_eq!(resolution.holder.as_deref(), Some("holder"));
        assert_eq!(resolution.claims["older"], waits_for("holder"));
    }

    #[test]
    fn a_space_that_lists_the_namespace_no_longer_has_let_go_whatever_its_status_and_an_index_say() {
        let mut former = bound(space("former", 1));
        former.spec.namespaces = vec!["another".into()];
        assert_eq!(resolve_with(&[former], &[]), Resolution::default());
    }

    #[test]
    fn a_claimant_goes_on_waiting_for_a_holder_that_was_deleted() {
        let resolution = resolve_with(&[waiting(space("claimant", 1), "gone"), space("third", 0)], &[]);
        assert_eq!(resolution.holder, None);
        assert_eq!(resolution.claims["claimant"], waits_for("gone"));
        assert_eq!(resolution.claims["third"], waits_for("gone"));
    }

    #[test]
    fn a_holder_that_comes_back_by_gitops_has_its_namespace_again() {
        let claimants = [waiting(space("claimant", 1), "holder"), space("holder", 9)];
        assert_eq!(holder(&claimants, &[]).as_deref(), Some("holder"));
    }

    #[test]
    fn a_take_over_works_against_a_deleted_and_against_a_living_holder() {
        let claimant = taking_over(waiting(space("claimant", 2), "holder"));
        assert_eq!(holder(std::slice::from_ref(&claimant), &[]).as_deref(), Some("claimant"));
        let resolution = resolve_with(&[claimant, bound(space("holder", 1))], &[]);
        assert_eq!(resolution.holder.as_deref(), Some("claimant"));
        assert_eq!(resolution.claims["holder"], waits_for("claimant"));
    }

    #[test]
    fn what_was_taken_over_stays_so_when_the_annotation_goes() {
        let claimants = [bound(space("claimant", 2)), waiting(space("former", 1), "claimant")];
        assert_eq!(holder(&claimants, &[]).as_deref(), Some("claimant"));
    }

    #[test]
    fn of_two_that_may_take_over_the_one_that_has_it_keeps_it() {
        let claimants = [taking_over(space("a", 1)), taking_over(bound(space("b", 2)))];
        assert_eq!(holder(&claimants, &[]).as_deref(), Some("b"));
    }

    #[test]
    fn a_take_over_of_another_namespace_changes_nothing() {
        let mut claimant = waiting(space("claimant", 1), "holder");
        claimant.annotations_mut().insert(TAKE_OVER.into(), "newsroom".into());
        assert_eq!(holder(&[claimant, bound(space("holder", 2))], &[]).as_deref(), Some("holder"));
    }

    #[test]
    fn a_claimant_gets_the_namespace_when_its_holder_lets_go_of_it() {
        assert_eq!(holder(&[waiting(space("claimant", 1), "holder")], &["holder"]).as_deref(), Some("claimant"));
    }

    #[test]
    fn a_claimant_of_a_former_holder_waits_for_who_took_it_over_from_that_one() {
        // `taker` took over from `former`, and went before `claimant` had been looked at.
        let claimants = [waiting(space("former", 1), "taker"), waiting(space("claimant", 2), "former")];
        let resolution = resolve_with(&claimants, &[]);
        assert_eq!(resolution.holder, None);
        assert_eq!(resolution.claims["claimant"], waits_for("taker"));
    }

    #[test]
    fn the_operators_own_namespace_is_nobodys() {
        let claimants = [Arc::new(taking_over(bound(space("a", 1))))];
        let resolution = resolve(NS, NS, &claimants, &|_| true);
        assert_eq!(resolution, Resolution { holder: None, claims: [("a".to_owned(), Claim::Refused)].into() });
    }

    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

    /// Any claimants, in any state that was ever written or that somebody made up, and which other Spaces exist.
    fn world() -> impl Strategy<Value = (Vec<Space>, Vec<&'static str>)> {
        let state = (0..3_usize, 0..NAMES.len(), any::<bool>(), 0..3_i64);
        let claimants = proptest::collection::vec(state, 1..5).prop_map(|states| {
            let of = |(index, (kind, other, takes, created)): (usize, (usize, usize, bool, i64))| {
                let space = space(NAMES[index], created);
                let space = if takes { taking_over(space) } else { space };
                match kind {
                    0 => space,
                    1 => bound(space),
                    _ => waiting(space, NAMES[other]),
                }
            };
            states.into_iter().enumerate().map(of).collect()
        });
        (claimants, proptest::sample::subsequence(NAMES.to_vec(), 0..NAMES.len()))
    }

    fn write(space: Space, claim: &Claim) -> Space {
        match claim {
            Claim::Bound => bound(space),
            Claim::Waiting { holder } => waiting(space, holder),
            Claim::Refused => with(space, BindingState::Refused, None),
        }
    }

    proptest! {
        #[test]
        fn the_choice_never_moves_while_statuses_are_written_in_any_order(
            (mut claimants, others) in world(),
            order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        ) {
            let chosen = holder(&claimants, &others);
            let count = claimants.len();
            let all = order.iter().map(|i| i.index(count)).chain(0..count).chain(0..count);
            for index in all {
                let claim = resolve_with(&claimants, &others).claims[&claimants[index].name_any()].clone();
                claimants[index] = write(claimants[index].clone(), &claim);
                prop_assert_eq!(&holder(&claimants, &others), &chosen);
            }
            let settled = resolve_with(&claimants, &others);
            for space in &claimants {
                let claim = &settled.claims[&space.name_any()];
                prop_assert_eq!(space, &write(space.clone(), claim));
                prop_assert_eq!(*claim == Claim::Bound, chosen.as_deref() == Some(&space.name_any()));
            }
        }

        #[test]
        fn nobody_gets_what_is_waited_for_without_an_admins_word((claimants, others) in world()) {
            let asleep = |space: &Space| !takes_over(space, NS) && space.status.is_some();
            let all_wait_for_gone = claimants.iter().all(|space| asleep(space)
                && matches!(recorded(space, NS, &|_| true), Recorded::Waiting(name) if name == "f"));
            if all_wait_for_gone && !others.contains(&"f") {
                prop_assert_eq!(holder(&claimants, &others), None);
            }
        }
    }
}
