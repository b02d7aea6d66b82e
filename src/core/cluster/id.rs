//! What things are called. Inside the engine by an id: a position in the [`Cluster`](super::Cluster) it belongs to, never in
//! a list on screen. Outside by a [`Name`], which outlives a changed config.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The position this id stands for.
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of a position.
            pub const fn at(index: usize) -> Self {
                Self(index as $inner)
            }
        }
    };
}

id!(
    /// A site of the cluster.
    SiteId(u16)
);
id!(
    /// An array of the cluster.
    ArrayId(u16)
);
id!(
    /// A host of the cluster.
    HostId(u32)
);
id!(
    /// A VM of the cluster.
    VmId(u32)
);
id!(
    /// A request, counted from 1 in the order in which they passed the gates.
    RequestId(u64)
);

/// The name of a site, an array, a host, a queue or a VM. A copy shares the text, so that a name costs nothing to hand on.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

impl Name {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Arc<str>> for Name {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl From<Name> for Arc<str> {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, other: &Name) -> bool {
        *self == *other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_text_and_its_copies_share_it() {
        let name = Name::from("mln1");
        assert!(Arc::ptr_eq(&name.0, &name.clone().0));
        assert_eq!(serde_json::to_string(&name).expect("JSON"), r#""mln1""#);
        assert_eq!(serde_json::from_str::<Name>(r#""mln1""#).expect("a name"), name);
    }
}
