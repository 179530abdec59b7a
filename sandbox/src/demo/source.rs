//! Changes at the source, as a user would make them through lakeFS's API. The checkers record each one.

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::stage::{SOURCE, SOURCE_NAMESPACE};
use crate::checker::http::{Http, HttpError, encode};
use crate::checker::{CheckError, Checker};

/// A file to upload: its path and its bytes.
pub type File = (String, Vec<u8>);

/// The source repository, as its users use it.
#[derive(Clone)]
pub struct Source {
    http: Http,
    /// The checkers of its mirrors.
    checkers: Vec<Checker>,
    repository: String,
    namespace: String,
}

#[derive(Deserialize)]
struct CreateOutcome {
    id: String,
}

#[derive(Deserialize)]
struct Reference {
    commit_id: String,
}

#[derive(Deserialize)]
struct Merged {
    reference: String,
}

#[derive(Deserialize)]
struct Uploaded {
    physical_address: String,
}

impl Source {
    /// The demo's source, over the API of its lakeFS.
    pub fn new(http: Http, checker: Checker) -> Self {
        Self::of(http, vec![checker], SOURCE, SOURCE_NAMESPACE)
    }

    /// A repository in a storage namespace, over the API of its lakeFS.
    pub fn of(http: Http, checkers: Vec<Checker>, repository: &str, namespace: &str) -> Self {
        Self { http, checkers, repository: repository.to_owned(), namespace: namespace.to_owned() }
    }

    /// The repository's name.
    pub fn name(&self) -> &str {
        &self.repository
    }

    fn path(&self, rest: &str) -> String {
        format!("/repositories/{}/{rest}", self.repository)
    }

    async fn change(&self, method: Method, path: &str, body: Option<serde_json::Value>) -> Result<Bytes, CheckError> {
        let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
        Ok(Checker::around_all(&self.checkers, self.http.send(method, path, body)).await??)
    }

    /// Whether the repository is there.
    ///
    /// # Errors
    /// There is no response.
    pub async fn exists(&self) -> Result<bool, CheckError> {
        match self.http.send(Method::GET, &format!("/repositories/{}", self.repository), None).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates the repository.
    ///
    /// # Errors
    /// The call's.
    pub async fn create(&self) -> Result<(), CheckError> {
        let body = json!({"name": self.repository, "storage_namespace": self.namespace, "default_branch": "main"});
        self.change(Method::POST, "/repositories", Some(body)).await.map(drop)
    }

    /// Uploads one file to a branch and returns its address within the bucket.
    ///
    /// # Errors
    /// The call's.
    pub async fn upload(&self, branch: &str, file: &File) -> Result<String, CheckError> {
        let (path, bytes) = file;
        let call = self.path(&format!("branches/{}/objects?path={}", encode(branch), encode(path)));
        let body = Some(("text/csv", Bytes::from(bytes.clone())));
        let answer = self.http.send(Method::POST, &call, body).await?;
        let uploaded: Uploaded = read(&call, &answer)?;
        let address = uploaded.physical_address;
        // Take the path after the bucket's directory.
        let inside = address.rsplit_once("/east/sample/").map(|(_, key)| key.to_owned());
        Ok(inside.unwrap_or(address))
    }

    /// Commits what is staged and returns the commit's id.
    ///
    /// # Errors
    /// The call's.
    pub async fn commit_staged(&self, branch: &str, message: &str, empty: bool) -> Result<String, CheckError> {
        let call = self.path(&format!("branches/{}/commits", encode(branch)));
        let body = json!({"message": message, "metadata": {"by": "demo"}, "allow_empty": empty});
        let answer = self.change(Method::POST, &call, Some(body)).await?;
        Ok(read::<CreateOutcome>(&call, &answer)?.id)
    }

    /// Uploads files and commits them.
    ///
    /// # Errors
    /// The calls'.
    pub async fn commit(&self, branch: &str, message: &str, files: &[File]) -> Result<String, CheckError> {
        for file in files {
            self.upload(branch, file).await?;
        }
        self.commit_staged(branch, message, false).await
    }

    /// Stages the deletion of a file.
    ///
    /// # Errors
    /// The call's.
    pub async fn remove(&self, branch: &str, path: &str) -> Result<(), CheckError> {
        let call = self.path(&format!("branches/{}/objects?path={}", encode(branch), encode(path)));
        Ok(self.http.send(Method::DELETE, &call, None).await.map(drop)?)
    }

    /// Creates a branch.
    ///
    /// # Errors
    /// The call's.
    pub async fn branch(&self, name: &str, from: &str) -> Result<(), CheckError> {
        let body = json!({"name": name, "source": from});
        self.change(Method::POST, &self.path("branches"), Some(body)).await.map(drop)
    }

    /// Deletes a branch.
    ///
    /// # Errors
    /// The call's.
    pub async fn delete_branch(&self, name: &str) -> Result<(), CheckError> {
        let call = self.path(&format!("branches/{}", encode(name)));
        self.change(Method::DELETE, &call, None).await.map(drop)
    }

    /// Merges one branch into another and returns the commit's id.
    ///
    /// # Errors
    /// The call's.
    pub async fn merge(&self, from: &str, into: &str, message: &str) -> Result<String, CheckError> {
        let call = self.path(&format!("refs/{}/merge/{}", encode(from), encode(into)));
        let answer = self.change(Method::POST, &call, Some(json!({"message": message}))).await?;
        Ok(read::<Merged>(&call, &answer)?.reference)
    }

    /// Points a branch to another commit.
    ///
    /// # Errors
    /// The call's.
    pub async fn hard_reset(&self, branch: &str, to: &str) -> Result<(), CheckError> {
        let call = self.path(&format!("branches/{}/hard_reset?ref={}", encode(branch), encode(to)));
        self.change(Method::PUT, &call, None).await.map(drop)
    }

    /// A branch's head.
    ///
    /// # Errors
    /// The call's.
    pub async fn head(&self, branch: &str) -> Result<String, CheckError> {
        let reference: Reference = self.http.get(&self.path(&format!("branches/{}", encode(branch)))).await?;
        Ok(reference.commit_id)
    }
}

fn read<T: serde::de::DeserializeOwned>(call: &str, answer: &[u8]) -> Result<T, HttpError> {
    serde_json::from_slice(answer).map_err(|source| HttpError::Json { call: call.to_owned(), source })
}

/// Files of a generated table: `count` parts below `folder`, the same for the same arguments.
pub fn table(folder: &str, count: u64, seed: u64) -> Vec<File> {
    let part = |number: u64| {
        let mut draw = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
        let mut text = String::from("order,customer,amount\n");
        for row in 0..(8 + (seed + number * 7) % 90) {
            // A linear congruential generator is good enough for numbers in a table.
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (customer, amount) = ((draw >> 33) % 1000, (draw >> 40) % 100_000);
            text.push_str(&format!("{},{customer},{}.{:02}\n", number * 1000 + row, amount / 100, amount % 100));
        }
        (format!("{folder}/part-{number:03}.csv"), text.into_bytes())
    };
    (0..count).map(part).collect()
}
