//! What keeps workers from claiming: found before they try.

use super::names::{CLAIMS, DONE, OPEN, PAGE};
use super::{Tree, TreeQueue, certainly, path};
use crate::edge::queue::{Trouble, new_instance};

impl TreeQueue {
    pub async fn probe(&self) -> Result<Vec<String>, Trouble> {
        let mut warnings = self.tree.warnings().await?;
        self.remembered().has_folders = false;
        self.make_folders().await?;
        let name = format!(".probe-{}", new_instance());
        let probed = self.move_around(&name).await;
        // Wherever it was left.
        for place in [OPEN, DONE, CLAIMS] {
            self.tree.remove(&path(&[place, &name])).await?;
        }
        if !probed? {
            warnings.push(
                "the server tells no ETags, so it is not known whether open/, claims/ and done/ are on one file system: \
                 they must be, or pages are worked twice"
                    .to_owned(),
            );
        }
        let (_, refused) = self.waiting().await?;
        warnings.extend(refused.into_iter().map(|(name, why)| format!("{name} is not worked: {why}")));
        Ok(warnings)
    }

    /// Moves a folder of its own as claims are moved: returned, finished, claimed. False: it is not known whether it was moved
    /// or copied.
    async fn move_around(&self, name: &str) -> Result<bool, Trouble> {
        let mut at = path(&[CLAIMS, name]);
        certainly(self.tree.make(&at).await)?;
        certainly(self.tree.write(&path(&[&at, PAGE]), b"# a probe\n".to_vec(), &self.unfinished()).await)?;
        let tag = self.tag(&at).await?;
        for place in [OPEN, DONE, CLAIMS] {
            let next = path(&[place, name]);
            certainly(self.tree.move_folder(&at, &next).await)?;
            if self.tag(&next).await? != tag {
                return Err(Trouble::Refused(format!(
                    "{place}/ lies on another file system than the rest, and what is moved there is copied: open/, claims/ and \
                     done/ must be on one, or pages are worked twice"
                )));
            }
            at = next;
        }
        Ok(tag.is_some() || matches!(self.tree, Tree::Dir(_)))
    }

    async fn tag(&self, folder: &str) -> Result<Option<String>, Trouble> {
        Ok(self.tree.look(&path(&[folder, PAGE])).await?.and_then(|entry| entry.tag))
    }
}
