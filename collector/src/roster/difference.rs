//! What lies between two rosters. Pure.

use url::Url;

use crate::address::without_password;
use crate::config::Backend;

/// What became of one backend.
#[derive(Debug, PartialEq)]
pub(super) enum Difference {
    /// Gone, or another ComfyUI is called so now.
    Gone(Backend),
    New(Backend),
    /// The same ComfyUI, described otherwise.
    Changed {
        to: Backend,
        anew: Anew,
    },
}

/// What has to be asked anew for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anew {
    Nothing,
    /// It is at another address.
    Agent,
    /// It is asked with another password.
    Everything,
}

/// Those that are gone come first: their names and addresses are free for the new ones.
pub(super) fn differences(before: &[Backend], after: &[Backend]) -> Vec<Difference> {
    let is_same = |a: &Backend, b: &Backend| a.id == b.id && place(&a.url) == place(&b.url);
    let gone = before.iter().filter(|old| !after.iter().any(|new| is_same(old, new)));
    let gone = gone.cloned().map(Difference::Gone);
    let others = after.iter().filter_map(|new| match before.iter().find(|old| is_same(old, new)) {
        None => Some(Difference::New(new.clone())),
        Some(old) if old == new => None,
        Some(old) => Some(Difference::Changed { to: new.clone(), anew: anew(old, new) }),
    });
    gone.chain(others).collect()
}

fn anew(old: &Backend, new: &Backend) -> Anew {
    if old.url != new.url {
        Anew::Everything
    } else if old.agent != new.agent {
        Anew::Agent
    } else {
        Anew::Nothing
    }
}

fn place(url: &Url) -> Url {
    without_password(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str, url: &str, agent: &str) -> Backend {
        let (id, url, agent) = (name.parse().unwrap(), url.parse().unwrap(), agent.parse().unwrap());
        Backend { id, url, agent, tags: Default::default() }
    }

    #[test]
    fn what_changed_of_each_backend_is_told_and_those_that_are_gone_first() {
        let same = || backend("same", "http://a:1", "http://a:2");
        let old = |name: &str| backend(name, "http://b:1", "http://b:2");
        let before = [same(), old("gone"), old("moved"), old("password"), old("agent"), old("tags")];
        let elsewhere = backend("moved", "http://c:1", "http://b:2");
        let password = backend("password", "http://u:p@b:1", "http://b:2");
        let agent = backend("agent", "http://b:1", "http://b:3");
        let tags = Backend { tags: ["t".parse().unwrap()].into(), ..old("tags") };
        let new = backend("new", "http://d:1", "http://d:2");
        let after = [same(), elsewhere.clone(), password.clone(), agent.clone(), tags.clone(), new.clone()];
        let changed = |to, anew| Difference::Changed { to, anew };
        let expected = [
            Difference::Gone(old("gone")),
            Difference::Gone(old("moved")),
            Difference::New(elsewhere),
            changed(password, Anew::Everything),
            changed(agent, Anew::Agent),
            changed(tags, Anew::Nothing),
            Difference::New(new),
        ];
        assert_eq!(differences(&before, &after), expected);
    }
}
