//! Loading: from a manifest's text to a connector, with every mistake found at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::connector::compiled::{
    CompiledLimits, Connector, DEFAULT_BODY_LIMIT, DEFAULT_TIMEOUT, Lines, Object, Operation, Piece, Rule,
    Shared, SignIn, Staged, Step, closing_brace, field_of,
};
use crate::connector::error::{ManifestError, ManifestErrors};
use crate::connector::expr::{Definitions, Expr, ExprError};
use crate::connector::manifest::{
    Jq, LifecycleSpec, Manifest, ObjectSpec, OperationName, OperationSpec, RuleSpec, SignInKind,
    SignInKindSpec, StepSpec,
};
use crate::model::lifecycle::{Lifecycle, Transition};
use crate::remote::http::HttpOptions;

impl Connector {
    /// Loads a connector by its path (`….yaml`), or by its name: from the folder if it is there, else from the
    /// binary.
    pub fn load(name_or_path: &str, folder: Option<&Path>) -> Result<Self, ManifestErrors> {
        let given = Path::new(name_or_path);
        let is_path = given.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let in_folder =
            folder.map(|folder| folder.join(format!("{name_or_path}.yaml"))).filter(|path| path.is_file());
        let path = if is_path { Some(given.to_path_buf()) } else { in_folder };
        if let Some(path) = path {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(&path)
                .map_err(|error| single(&file, format!("the manifest cannot be read: {error}")))?;
            return Self::compile(&text, &file);
        }
        match Self::built_in_text(name_or_path) {
            Some(text) => Self::compile(text, &format!("connectors/{name_or_path}.yaml")),
            None => {
                let known = Self::built_in().join(", ");
                let message = format!("there is no such connector; there are {known}, or name a .yaml file");
                Err(single(name_or_path, message))
            }
        }
    }

    /// Compiles a manifest; `file` opens every error.
    pub fn compile(text: &str, file: &str) -> Result<Self, ManifestErrors> {
        let manifest: Manifest = serde_saphyr::from_str(text).map_err(|error| {
            let error = error.without_snippet();
            let line = error.location().map_or(0, |location| location.line());
            ManifestErrors(vec![ManifestError { file: file.to_owned(), line, message: error.to_string() }])
        })?;
        let mut compiler = Compiler { file, definitions: Definitions::default(), errors: Vec::new() };
        let connector = compiler.connector(&manifest);
        match connector {
            Some(connector) if compiler.errors.is_empty() => Ok(connector),
            _ => Err(ManifestErrors(compiler.errors)),
        }
    }
}

fn single(file: &str, message: String) -> ManifestErrors {
    ManifestErrors(vec![ManifestError { file: file.to_owned(), line: 0, message }])
}

pub(super) struct Compiler<'a> {
    file: &'a str,
    definitions: Definitions,
    errors: Vec<ManifestError>,
}

impl Compiler<'_> {
    pub(super) fn wrong(&mut self, line: u64, message: impl Into<String>) {
        self.errors.push(ManifestError { file: self.file.to_owned(), line, message: message.into() });
    }

    fn refused(&mut self, first_line: u64, error: ExprError) {
        match error {
            ExprError::Compile { line, column, message, .. } => {
                let line = first_line + u64::try_from(line).unwrap_or(1) - 1;
                self.wrong(line, format!("{message} (column {column} of the expression)"));
            }
            other => self.wrong(first_line, other.to_string()),
        }
    }

    pub(super) fn expr(&mut self, jq: &Jq) -> Option<Expr> {
        let place = format!("{}:{}", self.file, jq.line);
        match Expr::compile_with(&self.definitions, &jq.text, &place) {
            Ok(expr) => Some(expr),
            Err(error) => {
                self.refused(jq.line, error);
                None
            }
        }
    }

    pub(super) fn maybe(&mut self, jq: Option<&Jq>) -> Option<Expr> {
        jq.and_then(|jq| self.expr(jq))
    }

    fn path(&mut self, jq: Option<&Jq>) -> Vec<Piece> {
        let Some(jq) = jq else { return Vec::new() };
        let mut pieces = Vec::new();
        let mut rest = jq.text.as_str();
        while let Some((text, after)) = rest.split_once('{') {
            pieces.push(Piece::Text(text.to_owned()));
            let Some(end) = closing_brace(after) else {
                self.wrong(jq.line, "a `{` is not closed");
                return pieces;
            };
            let hole = Jq { text: after.get(..end).unwrap_or_default().to_owned(), line: jq.line };
            pieces.extend(self.expr(&hole).map(Piece::Hole));
            rest = after.get(end + 1..).unwrap_or_default();
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces
    }

    /// A method is written like a path, since an operation may need another one for another page.
    fn method(&mut self, step: &StepSpec) -> Vec<Piece> {
        let line = step.path.as_ref().map_or(0, |path| path.line);
        let text = step.method.clone().unwrap_or_else(|| "POST".to_owned());
        self.path(Some(&Jq { text, line }))
    }

    fn rules(&mut self, rules: &[RuleSpec]) -> Vec<Rule> {
        rules.iter().filter_map(|rule| self.rule(rule)).collect()
    }

    fn rule(&mut self, rule: &RuleSpec) -> Option<Rule> {
        let when = self.expr(&rule.when);
        let compiled = Rule {
            when: when?,
            outcome: rule.outcome,
            reason: self.maybe(rule.reason.as_ref()),
            after: self.maybe(rule.after.as_ref()),
            field: self.maybe(rule.field.as_ref()),
            id: self.maybe(rule.id.as_ref()),
            on: rule.on.clone(),
        };
        Some(compiled)
    }

    fn step(&mut self, step: &StepSpec) -> Step {
        let kinds = [&step.body, &step.form, &step.text];
        if let [one, _, ..] = kinds.into_iter().flatten().collect::<Vec<_>>().as_slice() {
            self.wrong(one.line, "a request has one of `body`, `form` and `text`");
        }
        Step {
            method: self.method(step),
            path: self.path(step.path.as_ref()),
            query: self.maybe(step.query.as_ref()),
            headers: self.maybe(step.headers.as_ref()),
            body: self.maybe(step.body.as_ref()),
            form: self.maybe(step.form.as_ref()),
            text: self.maybe(step.text.as_ref()),
            results: self.maybe(step.results.as_ref()),
            answers: self.rules(&step.answers),
            lenient: step.lenient,
        }
    }

    fn operation(&mut self, name: OperationName, spec: &OperationSpec) -> Operation {
        let batch = spec.batch.unwrap_or(1).max(1);
        let line = spec.path.as_ref().map_or(0, |path| path.line);
        let reads = matches!(
            name,
            OperationName::List | OperationName::Read | OperationName::Find | OperationName::Describe
        );
        if reads && spec.records.is_none() {
            self.wrong(line, format!("{} needs `records`: where they are in the answer", name.word()));
        }
        if let (Some(after), true) = (&spec.after, name != OperationName::List) {
            self.wrong(after.line, "only a list has `after`: nothing else comes back for its next page");
        }
        if name == OperationName::SignIn {
            self.wrong(line, "sign_in is not an operation; say it under `sign_in`");
        }
        if name == OperationName::Step {
            self.wrong(line, "step is not an operation; say it under the object's `lifecycle`");
        }
        let steps = if spec.steps.is_empty() {
            vec![self.step(&StepSpec {
                method: spec.method.clone(),
                path: spec.path.clone(),
                query: spec.query.clone(),
                headers: spec.headers.clone(),
                body: spec.body.clone(),
                form: spec.form.clone(),
                text: spec.text.clone(),
                results: spec.results.clone(),
                answers: spec.answers.clone(),
                lenient: false,
            })]
        } else {
            if reads || spec.path.is_some() || spec.body.is_some() {
                self.wrong(line, "`steps` are for writes, and stand instead of a request");
            }
            spec.steps.iter().map(|step| self.step(step)).collect()
        };
        Operation {
            batch,
            combined_batch: spec.combined_batch.unwrap_or(batch).max(1),
            records: self.maybe(spec.records.as_ref()),
            next: self.maybe(spec.next.as_ref()),
            after: self.maybe(spec.after.as_ref()),
            steps,
        }
    }

    fn operations(
        &mut self,
        specs: &BTreeMap<OperationName, OperationSpec>,
    ) -> BTreeMap<OperationName, Arc<Operation>> {
        specs.iter().map(|(name, spec)| (*name, Arc::new(self.operation(*name, spec)))).collect()
    }

    fn lifecycle(
        &mut self,
        object: &str,
        spec: &LifecycleSpec,
        operations: &BTreeMap<OperationName, Arc<Operation>>,
    ) -> Option<Staged> {
        let line = spec.state.line;
        let set = |names: &[String]| names.iter().cloned().collect();
        let lifecycle = Lifecycle {
            editable: set(&spec.editable),
            created: spec.created.clone(),
            steps: spec
                .steps
                .iter()
                .map(|(name, step)| (name.clone(), Transition { from: set(&step.from), to: step.to.clone() }))
                .collect(),
            targets: spec.targets.iter().map(|(name, stages)| (name.clone(), set(stages))).collect(),
        };
        for finding in lifecycle.findings() {
            self.wrong(line, format!("lifecycle of {object}: {finding}"));
        }
        if !operations.contains_key(&OperationName::Read) {
            let message = "needs the operation `read`: a refused step is looked at before it is believed";
            self.wrong(line, format!("lifecycle of {object} {message}"));
        }
        let state = self.expr(&spec.state)?;
        let Some(field) = field_of(&state) else {
            let message = "`state` must begin with the field that tells: `.record.FIELD`";
            self.wrong(line, format!("lifecycle of {object}: {message}"));
            return None;
        };
        let steps = spec.steps.iter().map(|(name, step)| {
            let operation = Operation {
                batch: step.batch.unwrap_or(1).max(1),
                combined_batch: 1,
                records: None,
                next: None,
                after: None,
                steps: vec![self.step(&StepSpec {
                    method: step.method.clone(),
                    path: step.path.clone(),
                    query: step.query.clone(),
                    headers: step.headers.clone(),
                    body: step.body.clone(),
                    form: step.form.clone(),
                    text: step.text.clone(),
                    results: step.results.clone(),
                    answers: step.answers.clone(),
                    lenient: false,
                })],
            };
            (name.clone(), Arc::new(operation))
        });
        let steps = steps.collect();
        Some(Staged { state, field, lifecycle, steps })
    }

    fn object(
        &mut self,
        name: &str,
        own: &ObjectSpec,
        lent: &ObjectSpec,
        common: &BTreeMap<OperationName, Arc<Operation>>,
    ) -> Option<Object> {
        let id = own.id.as_ref().or(lent.id.as_ref());
        let Some(id) = id else {
            self.wrong(0, format!("object {name} needs `id`: where a record's identity is"));
            return None;
        };
        let id = self.expr(id);
        let mut operations = common.clone();
        operations.extend(self.operations(&own.operations));
        for without in own.without.iter().chain(&lent.without) {
            operations.remove(without);
        }
        let lifecycle = own.lifecycle.as_ref().or(lent.lifecycle.as_ref());
        let lifecycle = lifecycle.and_then(|spec| self.lifecycle(name, spec, &operations));
        let mut parameters: serde_json::Map<_, _> = lent.parameters.clone().into_iter().collect();
        parameters.extend(own.parameters.clone());
        let object = Object {
            version: self.maybe(own.version.as_ref().or(lent.version.as_ref())),
            modified: self.maybe(own.modified.as_ref().or(lent.modified.as_ref())),
            reference: self.maybe(own.reference.as_ref().or(lent.reference.as_ref())),
            reference_field: self.maybe(own.reference_field.as_ref().or(lent.reference_field.as_ref())),
            deleted: self.maybe(own.deleted.as_ref().or(lent.deleted.as_ref())),
            attempt_field: self.maybe(own.attempt_field.as_ref().or(lent.attempt_field.as_ref())),
            blank_is_null: own.blank_is_null.or(lent.blank_is_null).unwrap_or(false),
            numeric_ids: own.numeric_ids.or(lent.numeric_ids).unwrap_or(false),
            checks_version: own.checks_version.or(lent.checks_version).unwrap_or(false),
            idempotent_create: own.idempotent_create.or(lent.idempotent_create).unwrap_or(false),
            idempotent_for: own.idempotent_for.or(lent.idempotent_for).map(Duration::from_secs),
            overlap: Duration::from_secs(own.overlap.or(lent.overlap).unwrap_or(0)),
            read_only: own.read_only.clone().or_else(|| lent.read_only.clone()).unwrap_or_default(),
            parameters,
            operations,
            lifecycle,
            lines: self.lines(name, own, lent),
            id: id?,
        };
        Some(object)
    }

    fn lines(&mut self, object: &str, own: &ObjectSpec, lent: &ObjectSpec) -> BTreeMap<String, Arc<Lines>> {
        let mut specs = lent.lines.clone();
        specs.extend(own.lines.clone());
        let mut compiled = BTreeMap::new();
        for (name, spec) in &specs {
            let lines = match (&spec.object, &spec.nested, &spec.read) {
                (Some(object), None, None) => spec.parent.as_ref().map(|parent| Lines::Own {
                    object: object.clone(),
                    parent: parent.clone(),
                    watch: spec.watch,
                }),
                (None, Some(nested), None) => self.expr(nested).map(Lines::Nested),
                (None, None, Some(read)) => Some(Lines::Read {
                    operation: Arc::new(self.operation(OperationName::Read, read)),
                    page: spec.page.unwrap_or(1000).max(1),
                }),
                _ => None,
            };
            match lines {
                Some(lines) => drop(compiled.insert(name.clone(), Arc::new(lines))),
                None => self.wrong(
                    0,
                    format!(
                        "lines {name} of object {object} need one of `object` with `parent`, `nested`, `read`"
                    ),
                ),
            }
        }
        compiled
    }

    fn sign_in(
        &mut self,
        name: &str,
        spec: &SignInKindSpec,
        kinds: &BTreeMap<String, SignInKindSpec>,
    ) -> SignIn {
        let before = spec.begins_with.as_ref().map(|first| (first, kinds.get(first)));
        let begins_with = match before {
            Some((_, Some(before))) if before.begins_with.is_none() && before.keep.is_empty() => {
                Some(Box::new(self.sign_in(name, before, kinds)))
            }
            Some((first, _)) => {
                let message =
                    format!("sign_in kind {name} begins with {first}, which is no kind that can come first");
                self.wrong(0, message);
                None
            }
            None => None,
        };
        let asks = matches!(spec.kind, SignInKind::TokenExchange | SignInKind::Session);
        if asks && (spec.path.is_none() || spec.token.is_none()) {
            self.wrong(0, format!("sign_in kind {name} needs a `path` and a `token`"));
        }
        if spec.kind == SignInKind::Key && spec.token.is_none() {
            self.wrong(0, format!("sign_in kind {name} needs a `token`"));
        }
        if spec.kind == SignInKind::Signed && spec.signature.is_none() {
            self.wrong(0, format!("sign_in kind {name} needs a `signature`"));
        }
        if let (Some(kept), false) = (spec.keep.values().next(), asks) {
            self.wrong(kept.line, format!("sign_in kind {name} asks nothing, so there is nothing to `keep`"));
        }
        let step = asks.then(|| {
            self.step(&StepSpec {
                method: spec.method.clone(),
                path: spec.path.clone(),
                query: spec.query.clone(),
                headers: spec.headers.clone(),
                body: spec.body.clone(),
                form: spec.form.clone(),
                text: spec.text.clone(),
                answers: spec.answers.clone(),
                results: None,
                lenient: false,
            })
        });
        SignIn {
            kind: spec.kind,
            begins_with,
            step,
            token: self.maybe(spec.token.as_ref()),
            expires_in: self.maybe(spec.expires_in.as_ref()),
            margin: Duration::from_secs(spec.margin.unwrap_or(60)),
            identity: self.maybe(spec.identity.as_ref()),
            keep: spec.keep.iter().filter_map(|(name, jq)| Some((name.clone(), self.expr(jq)?))).collect(),
            signature: self.maybe(spec.signature.as_ref()),
        }
    }

    fn connector(&mut self, manifest: &Manifest) -> Option<Connector> {
        if manifest.version != 1 {
            let message = format!("version {} of the vocabulary is not known; this is 1", manifest.version);
            self.wrong(0, message);
        }
        if let Some(text) = &manifest.definitions {
            match Definitions::new(&text.text, self.file) {
                Ok(definitions) => self.definitions = definitions,
                Err(error) => self.refused(text.line, error),
            }
        }
        if let Some(zone) = &manifest.limits.daily_reset
            && jiff::tz::TimeZone::get(zone).is_err()
        {
            self.wrong(0, format!("limits.daily_reset: there is no time zone {zone}"));
        }
        if manifest.sign_in.kinds.len() > 1 && manifest.sign_in.select.is_none() {
            self.wrong(0, "sign_in has several kinds and needs `select` to name one");
        }
        let http1_only = match manifest.http.version.as_deref() {
            None | Some("auto") => false,
            Some("1.1") => true,
            Some(other) => {
                self.wrong(0, format!("http.version is `1.1` or `auto`, not `{other}`"));
                false
            }
        };
        if let (Some(text), Some(_)) = (&manifest.request.text, &manifest.request.body) {
            self.wrong(text.line, "`request` has a `body` or a `text`, not both");
        }
        let base = self.expr(&manifest.request.base);
        let common = self.operations(&manifest.operations);
        let nothing = ObjectSpec::default();
        let lent = manifest.objects.get("*").unwrap_or(&nothing);
        let objects = manifest.objects.iter().filter_map(|(name, own)| {
            let lent = if name == "*" { &nothing } else { lent };
            self.object(name, own, lent, &common).map(|object| (name.clone(), Arc::new(object)))
        });
        let objects = objects.collect();
        for (name, jq) in manifest.sign_in.kinds.values().flat_map(|kind| &kind.keep) {
            if !manifest.settings.get(name).is_some_and(|setting| setting.secret) {
                self.wrong(jq.line, format!("`keep` names {name}, which is no secret setting"));
            }
        }
        let sign_in = manifest
            .sign_in
            .kinds
            .iter()
            .map(|(name, spec)| (name.clone(), self.sign_in(name, spec, &manifest.sign_in.kinds)))
            .collect();
        let connector = Connector {
            name: manifest.connector.clone(),
            title: manifest.title.clone(),
            settings_spec: manifest.settings.clone(),
            columns: manifest.columns.clone(),
            http: HttpOptions {
                http1_only,
                body_limit: manifest.http.body_limit.unwrap_or(DEFAULT_BODY_LIMIT),
            },
            xml: manifest.http.xml,
            timeout: manifest.http.timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs),
            select: self.maybe(manifest.sign_in.select.as_ref()),
            sign_in,
            request: Shared {
                headers: self.maybe(manifest.request.headers.as_ref()),
                query: self.maybe(manifest.request.query.as_ref()),
                body: self.maybe(manifest.request.body.as_ref()),
                text: self.maybe(manifest.request.text.as_ref()),
                base: base?,
            },
            limits: CompiledLimits {
                per_second: manifest.limits.per_second,
                in_flight: manifest.limits.in_flight,
                per_day: self.maybe(manifest.limits.per_day.as_ref()),
                daily_reset: manifest.limits.daily_reset.clone(),
                usage: self.maybe(manifest.limits.usage.as_ref()),
            },
            answers: self.rules(&manifest.answers),
            webhooks: manifest.webhooks.as_ref().and_then(|spec| self.webhooks(spec, &manifest.settings)),
            objects,
        };
        Some(connector)
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
