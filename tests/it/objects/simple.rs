//! The conformance suite against memory and directories.

use std::sync::Arc;

use async_trait::async_trait;
use lakemirror::objects::Store;
use lakemirror::objects::local::{Local, Settings};
use lakemirror::objects::memory::Memory;

use super::conformance::{Backend, conformance};

struct InMemory(Arc<Memory>);

#[async_trait]
impl Backend for InMemory {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0) as _
    }
    async fn create_bucket(&self, bucket: &str) {
        self.0.create_bucket(bucket);
    }
    async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        self.0.put(bucket, key, bytes.to_vec());
    }
    async fn delete(&self, bucket: &str, key: &str) {
        self.0.mark_deleted(bucket, key);
    }
    fn holds_any_key(&self) -> bool {
        true
    }
    fn knows_buckets(&self) -> bool {
        true
    }
}

async fn memory(_: &str) -> Option<InMemory> {
    Some(InMemory(Arc::new(Memory::new())))
}

struct Directories {
    root: tempfile::TempDir,
    store: Arc<Local>,
}

#[async_trait]
impl Backend for Directories {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as _
    }
    async fn create_bucket(&self, bucket: &str) {
        std::fs::create_dir(self.root.path().join(bucket)).unwrap();
    }
    async fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let path = self.root.path().join(bucket).join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    async fn delete(&self, bucket: &str, key: &str) {
        std::fs::remove_file(self.root.path().join(bucket).join(key)).unwrap();
    }
    fn holds_any_key(&self) -> bool {
        false
    }
    fn knows_buckets(&self) -> bool {
        false
    }
}

async fn directories(_: &str) -> Option<Directories> {
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(Local::new(&Settings { path: root.path().to_owned() }));
    Some(Directories { root, store })
}

conformance!(in_memory, |test| memory(test));
conformance!(in_directories, |test| directories(test));
