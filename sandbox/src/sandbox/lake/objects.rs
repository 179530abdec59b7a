//! Objects: written, read and copied, and entries for bytes that clients wrote themselves.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::super::blocks::{Pending, SCHEME};
use super::super::failure::{Failure, Kind, Outcome};
use super::super::model::{Addressing, Entry, Repository};
use super::super::names;
use super::{Condition, Lake, argument, check_branch_name, check_path, check_writable};

/// How long an upload address may be linked after it was issued, in seconds.
const LINK_SECONDS: i64 = 6 * 3600;

/// The default media type.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// An object whose bytes are being written.
#[derive(Debug)]
pub struct Upload {
    /// The repository.
    pub repository: Repository,
    /// Its address, relative to the namespace.
    pub address: String,
    /// Receives the bytes.
    pub pending: Pending,
}

/// The attributes of an object, as the client states them.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    /// Bytes.
    pub size: i64,
    /// Its checksum.
    pub checksum: String,
    /// Its media type.
    pub content_type: String,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its time in seconds since 1970; now, if absent.
    pub mtime: Option<i64>,
    /// Needed on a read-only repository.
    pub force: bool,
    /// The precondition.
    pub condition: Condition,
}

impl Lake {
    /// Begins to write an object, which becomes visible with [`Self::finish_upload`].
    ///
    /// # Errors
    /// `branch '…' not found`; errors of the blockstore.
    pub fn begin_upload(&self, repository: &str, branch: &str) -> Outcome<Upload> {
        let repository = self.check_branch_exists(repository, branch)?;
        let address = self.names.address(self.seconds().try_into().unwrap_or_default());
        let pending = self.blocks.pending(&self.temporary_name())?;
        Ok(Upload { repository, address, pending })
    }

    /// Publishes the bytes and stages the entry.
    ///
    /// # Errors
    /// As [`Self::stage`]; the bytes are not removed then, as on a real server.
    pub fn finish_upload(&self, upload: Upload, branch: &str, path: &str, about: Attributes) -> Outcome<Entry> {
        let Upload { repository, address, pending } = upload;
        pending.publish(&self.blocks.path(&repository.storage_namespace, &address, Addressing::Relative)?)?;
        let (force, condition) = (about.force, about.condition);
        let entry = self.new_entry(address, Addressing::Relative, about);
        self.stage(&repository.name, branch, path, entry.clone(), force, condition)?;
        Ok(entry)
    }

    fn new_entry(&self, address: String, addressing: Addressing, about: Attributes) -> Entry {
        let (mtime, nanos) = about.mtime.map_or_else(|| self.now(), |seconds| (seconds, 0));
        Entry {
            address,
            addressing,
            mtime,
            mtime_nanos: i32::try_from(nanos).unwrap_or_default(),
            size: about.size,
            checksum: about.checksum,
            content_type: if about.content_type.is_empty() { OCTET_STREAM.to_owned() } else { about.content_type },
            metadata: about.metadata,
        }
    }

    /// The address of an entry as the API displays it.
    ///
    /// # Errors
    /// `Invalid` for an address of another store.
    pub fn display_address(&self, repository: &Repository, entry: &Entry) -> Outcome<String> {
        self.blocks.display(&repository.storage_namespace, &entry.address, entry.addressing)
    }

    /// The file of an entry.
    pub fn file_of(&self, repository: &Repository, entry: &Entry) -> Outcome<PathBuf> {
        self.blocks.path(&repository.storage_namespace, &entry.address, entry.addressing)
    }

    /// Opens an entry's bytes at an offset.
    ///
    /// # Errors
    /// `No data`.
    pub fn open_object(&self, repository: &Repository, entry: &Entry, offset: u64) -> Outcome<File> {
        self.blocks.open_at(&self.file_of(repository, entry)?, offset)
    }

    /// Reads a metadata file.
    ///
    /// # Errors
    /// `No data`.
    pub fn metadata_file(&self, repository: &str, id: &str) -> Outcome<Vec<u8>> {
        let repository = self.repository(repository)?;
        let address = super::super::blocks::Blocks::metadata_address(id);
        self.blocks.read(&self.blocks.path(&repository.storage_namespace, &address, Addressing::Relative)?)
    }

    /// Copies an object to another path of a branch, including its bytes.
    ///
    /// # Errors
    /// `not found`, `No data`, and as [`Self::stage`].
    pub fn copy_object(
        &self,
        repository: &str,
        (reference, path): (&str, &str),
        (branch, to): (&str, &str),
        force: bool,
    ) -> Outcome<Entry> {
        let repository = self.check_branch_exists(repository, branch)?;
        let source = self.entry(&repository.name, reference, path)?;
        let mut from = self.open_object(&repository, &source, 0)?;
        let mut upload = self.begin_upload(&repository.name, branch)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = std::io::Read::read(&mut from, &mut buffer).map_err(Failure::internal)?;
            match buffer.get(..read) {
                None | Some([]) => break,
                Some(bytes) => upload.pending.write(bytes)?,
            }
        }
        let about = Attributes {
            size: source.size,
            checksum: source.checksum.clone(),
            content_type: source.content_type.clone(),
            metadata: source.metadata.clone(),
            force,
            ..Attributes::default()
        };
        self.finish_upload(upload, branch, to, about)
    }

    /// An address to which a client may write itself, and which it may link afterwards.
    ///
    /// # Errors
    /// As [`Self::repository`].
    pub fn physical_address(&self, repository: &str, branch: &str, path: &str) -> Outcome<String> {
        let repository = self.repository(repository)?;
        let address = self.names.address(self.seconds().try_into().unwrap_or_default());
        let signature = self.sign(&repository.name, branch, path, &address);
        let address = format!("{address},{}", URL_SAFE_NO_PAD.encode(signature));
        self.blocks.display(&repository.storage_namespace, &address, Addressing::Relative)
    }

    fn sign(&self, repository: &str, branch: &str, path: &str, address: &str) -> Vec<u8> {
        // HMAC accepts keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.signing_key) else { return Vec::new() };
        for part in [repository, branch, path, address] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.finalize().into_bytes().to_vec()
    }

    /// Stages an entry for existing bytes. Whether they exist is not checked. With `signed`, an address within the
    /// namespace must have been issued for this path.
    ///
    /// # Errors
    /// `Invalid` for an address of another store or without its signature, and as [`Self::stage`].
    pub fn stage_physical(
        &self,
        repository: &str,
        (branch, path): (&str, &str),
        given: &str,
        about: Attributes,
        signed: bool,
    ) -> Outcome<(Repository, Entry)> {
        let repository = self.repository(repository)?;
        if !given.starts_with(SCHEME) {
            let message = "physical address is not valid for block adapter: local";
            return Err(Failure::new(Kind::Invalid, message));
        }
        let (address, addressing) = normalized(&repository, given);
        match (signed, addressing) {
            (true, Addressing::Relative) => self.check_signature(&repository.name, branch, path, &address)?,
            (true, _) => {}
            // The address is checked as a full one here, even if it is stored as a relative one.
            (false, _) => drop(self.blocks.path(&repository.storage_namespace, given, Addressing::Full)?),
        }
        let (force, condition) = (about.force, about.condition);
        let entry = self.new_entry(address, addressing, about);
        self.stage(&repository.name, branch, path, entry.clone(), force, condition)?;
        Ok((repository, entry))
    }

    fn check_signature(&self, repository: &str, branch: &str, path: &str, address: &str) -> Outcome<()> {
        let invalid = |message: &str| Failure::new(Kind::Invalid, message);
        let (address, signature) =
            address.rsplit_once(',').ok_or_else(|| invalid("address is not signed: link address invalid"))?;
        let given = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| invalid("malformed address signature: link address invalid"))?;
        let wanted = self.sign(repository, branch, path, address);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(given.as_slice(), wanted.as_slice())) {
            return Err(invalid("invalid address signature: invalid address"));
        }
        let made = address.rsplit('/').next().and_then(names::seconds_of);
        match made {
            Some(made) if self.seconds() - i64::from(made) <= LINK_SECONDS => Ok(()),
            _ => Err(invalid("link address expired")),
        }
    }

    /// Replaces the user metadata of an entry, as a new change on the branch.
    ///
    /// # Errors
    /// `not found` for the path; as [`Self::stage`].
    pub fn set_user_metadata(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        metadata: BTreeMap<String, String>,
    ) -> Outcome<()> {
        argument("branch", check_branch_name(branch))?;
        argument("path", check_path(path))?;
        let found = self.repository(repository)?;
        self.check_unprotected(&found, branch, "cannot write to protected branch")?;
        check_writable(&found, false)?;
        self.branch_head(&found, branch)?;
        let entry = self.entry(repository, branch, path).map_err(|failure| match failure.kind {
            Kind::NotFound => failure.within(format!("update user metadata on {repository}/{branch}/{path}")),
            _ => failure,
        })?;
        let entry = Entry { metadata, ..Arc::unwrap_or_clone(entry) };
        self.stage(repository, branch, path, entry, false, Condition::None)
    }
}

/// An address under the namespace's `data/` is stored relative to the namespace; any other one is not.
fn normalized(repository: &Repository, address: &str) -> (String, Addressing) {
    let base = repository.storage_namespace.strip_suffix('/').unwrap_or(&repository.storage_namespace);
    let relative = address.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    match relative.filter(|relative| relative.starts_with("data/")) {
        Some(relative) => (relative.to_owned(), Addressing::Relative),
        None => (address.to_owned(), Addressing::Full),
    }
}
