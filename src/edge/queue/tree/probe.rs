//! What keeps workers from claiming: found before they try.

use super::names::{CLAIMS, DONE, OPEN};
use super::{Certainty, TreeQueue, path};
use crate::edge::queue::{Trouble, new_instance};

impl TreeQueue {
    pub async fn probe(&self) -> Result<Vec<String>, Trouble> {
        self.make_folders().await?;
        let name = format!(".probe-{}", new_instance());
        let probed = self.move_around(&name).await;
        // Wherever it was left.
        for place in [OPEN, DONE, CLAIMS] {
            self.tree.remove(&path(&[place, &name])).await?;
        }
        probed?;
        let (_, refused) = self.waiting().await?;
        Ok(refused.into_iter().map(|(name, why)| format!("{name} is not worked: {why}")).collect())
    }

    /// Moves a folder of its own as claims are moved: returned, finished, claimed.
    async fn move_around(&self, name: &str) -> Result<(), Trouble> {
        let mut at = path(&[CLAIMS, name]);
        certainly(self.tree.make(&at).await)?;
        certainly(self.tree.write(&path(&[&at, "page"]), b"# a probe\n".to_vec(), &self.unfinished()).await)?;
        for place in [OPEN, DONE, CLAIMS] {
            let next = path(&[place, name]);
            certainly(self.tree.move_folder(&at, &next).await)?;
            at = next;
        }
        Ok(())
    }
}

fn certainly(answer: Certainty) -> Result<(), Trouble> {
    match answer {
        Certainty::Yes => Ok(()),
        Certainty::No(trouble) | Certainty::Unknown(trouble) => Err(trouble),
    }
}
