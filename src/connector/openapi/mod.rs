//! A first manifest from an OpenAPI 3 document: what can be read from it is written, what is guessed is marked with
//! `REVIEW`, so that an integrator begins with a file that loads and not with an empty one.
//!
//! The document says how requests look, and not what answers mean: whether a page stays whole, when a stamp is set, what
//! happens to a create whose answer is lost. So nothing that this makes is to be trusted before somebody has read it.

mod api;
mod guess;
mod resource;
mod write;

use serde_json::Value;

use api::Api;

/// Why no manifest can be made of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenApiError {
    /// It is neither JSON nor YAML.
    #[error("the document cannot be read: {0}")]
    Unreadable(String),
    /// It is something else, or an older version.
    #[error(
        "the document is no OpenAPI 3 document: its `openapi` is {0}; convert Swagger 2 first, for example with swagger2openapi"
    )]
    Version(String),
    /// No path lists, reads or writes records.
    #[error(
        "no records were found: rowtwin looks for a path that lists them (GET with an array in its answer) and one below it for a single record (…/{{id}})"
    )]
    NoObjects,
}

/// A manifest that was drafted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The manifest.
    pub text: String,
    /// The objects that it names.
    pub objects: Vec<String>,
    /// Paths that were left out, each with the reason.
    pub left_out: Vec<String>,
}

impl Draft {
    /// How many places are marked for a person.
    pub fn to_review(&self) -> usize {
        self.text.matches("REVIEW").count()
    }
}

/// Drafts a manifest; `name` is the connector's, made of the document's title when left out.
///
/// # Errors
/// The document cannot be read, is no OpenAPI 3 document, or names no records.
pub fn draft(text: &str, name: Option<&str>) -> Result<Draft, OpenApiError> {
    let root: Value = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| OpenApiError::Unreadable(error.to_string()))?
    } else {
        serde_saphyr::from_str(text)
            .map_err(|error| OpenApiError::Unreadable(error.without_snippet().to_string()))?
    };
    let version = root.get("openapi").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with("3.") {
        let said = if version.is_empty() { "not there".to_owned() } else { format!("{version:?}") };
        return Err(OpenApiError::Version(said));
    }
    let api = Api::new(&root);
    let (resources, left_out) = resource::find(&api);
    if resources.is_empty() {
        return Err(OpenApiError::NoObjects);
    }
    let title = root.pointer("/info/title").and_then(Value::as_str).unwrap_or("a system").trim().to_owned();
    let name = name.map_or_else(|| slug(&title), str::to_owned);
    let text = write::manifest(&api, &name, &title, &resources, &left_out);
    Ok(Draft { text, objects: resources.iter().map(|one| one.object.clone()).collect(), left_out })
}

/// A title as a connector's name: lower case, words joined with `-`.
fn slug(title: &str) -> String {
    let words: Vec<String> = title
        .split(|char: char| !char.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() { "my-system".to_owned() } else { words.join("-") }
}

#[cfg(test)]
mod tests;
