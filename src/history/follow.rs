//! Reads the history forward, for those who pass it on. Entries stay as they are, so that kinds that
//! this version doesn't know are passed on too.

use serde_json::{Map, Value};

use super::History;
use crate::keys;
use crate::redis::{Store, StoreError};

/// An entry with its id, as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct RawEntry {
    pub id: String,
    /// `None` if what is stored is no JSON object.
    pub json: Option<Map<String, Value>>,
}

impl RawEntry {
    fn read(id: String, fields: &[(String, String)]) -> Self {
        let text = fields.iter().find(|(name, _)| name == "entry").map(|(_, text)| text);
        let stored: Option<Map<String, Value>> = text.and_then(|text| serde_json::from_str(text).ok());
        // The id is first, as in the API.
        let json = stored.map(|stored| {
            let mut json = Map::from_iter([("id".to_owned(), Value::from(id.as_str()))]);
            json.extend(stored.into_iter().filter(|(name, _)| name != "id"));
            json
        });
        Self { id, json }
    }

    /// A text of the entry, such as its `kind`.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.json.as_ref()?.get(field)?.as_str()
    }

    /// When it was recorded, in Unix milliseconds by the clock of Redis.
    pub fn recorded_ms(&self) -> i64 {
        let ms = self.id.split_once('-').and_then(|(ms, _)| ms.parse().ok());
        ms.unwrap_or_default()
    }
}

impl History {
    /// The first `count` entries after this id, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn after(&self, id: &str, count: usize) -> Result<Vec<RawEntry>, StoreError> {
        let found = self.store().entries_after(id, count).await?;
        let entries = found.into_iter().map(|(id, fields)| RawEntry::read(id, &fields));
        Ok(entries.collect())
    }

    /// The id of the newest entry; `0-0` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn newest_id(&self) -> Result<String, StoreError> {
        let newest = self.store().newest_entry().await?;
        let id = newest.into_iter().map(|(id, _)| id).next();
        Ok(id.unwrap_or_else(|| "0-0".to_owned()))
    }
}

type Raw = Vec<(String, Vec<(String, String)>)>;

impl Store {
    async fn entries_after(&self, id: &str, count: usize) -> Result<Raw, StoreError> {
        self.read("follow history", self.timeout(), async |connection| {
            redis::cmd("XRANGE")
                .arg(keys::HISTORY)
                .arg(format!("({id}"))
                .arg("+")
                .arg("COUNT")
                .arg(count)
                .query_async(connection)
                .await
        })
        .await
    }

    async fn newest_entry(&self) -> Result<Raw, StoreError> {
        self.read("follow history", self.timeout(), async |connection| {
            redis::cmd("XREVRANGE")
                .arg(keys::HISTORY)
                .arg("+")
                .arg("-")
                .arg("COUNT")
                .arg(1)
                .query_async(connection)
                .await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entry: &str) -> RawEntry {
        RawEntry::read("1764151200000-2".to_owned(), &[("entry".to_owned(), entry.to_owned())])
    }

    #[test]
    fn an_entry_gets_its_id_and_keeps_everything_else_also_of_an_unknown_kind() {
        let entry = read(r#"{"at":"x","kind":"of tomorrow","id":"","more":[1]}"#);
        assert_eq!(
            serde_json::to_string(&entry.json).unwrap(),
            r#"{"id":"1764151200000-2","at":"x","kind":"of tomorrow","more":[1]}"#
        );
        assert_eq!(entry.text("kind"), Some("of tomorrow"));
        assert_eq!(entry.text("more"), None);
        assert_eq!(entry.recorded_ms(), 1_764_151_200_000);
    }

    #[test]
    fn what_is_no_object_is_still_an_entry_with_a_place() {
        let entry = read("[1]");
        assert_eq!((entry.id.as_str(), entry.json), ("1764151200000-2", None));
    }
}
