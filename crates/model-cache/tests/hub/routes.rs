//! Owns which question gets which answer, and when a trouble is in the way. Must not know how either is sent.

use super::State;
use super::answer::{Answer, Body};
use super::api::{self, Question};
use super::files::{self, CDN, HOP};
use super::repository::{Objection, Repo};
use super::request::{Request, Seen};
use super::trouble::On;

impl State {
    /// Remembers a request, and gives it a number.
    pub(crate) fn see(&self, request: &Request) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.push(request.seen());
        seen.len() - 1
    }

    /// Changes what is remembered of a request.
    pub(crate) fn note(&self, number: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap()[number]);
    }

    /// The answer to a request, spoilt by every trouble that concerns it.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let (kinds, mut answer) = self.true_answer(request);
        for rule in self.rules.lock().unwrap().iter_mut() {
            if rule.applies(&kinds, &request.path, &answer) {
                answer = rule.spoil(request, answer);
            }
        }
        answer
    }

    fn true_answer(&self, request: &Request) -> (Vec<On>, Answer) {
        if request.method == "CONNECT" {
            return (vec![], Answer::text(403, "this proxy knows no https"));
        }
        if let Some(number) = request.path.strip_prefix(HOP) {
            let next = number.parse::<u64>().unwrap_or_default() + 1;
            return (vec![], Answer::text(302, "").with("Location", format!("{HOP}{next}")));
        }
        if let Some(path) = request.path.strip_prefix(CDN) {
            return (vec![On::Bytes], self.second_host_file(request, path));
        }
        if let Some(path) = request.path.strip_prefix("/api/models/") {
            let mut parts = path.splitn(4, '/');
            let mut next = || parts.next().unwrap_or_default().to_owned();
            let (id, kind, revision) = (format!("{}/{}", next(), next()), next(), next());
            let on = if kind == "tree" { On::Tree } else { On::Info };
            return (vec![on], self.api(request, (&id, &kind, &revision)).unwrap_or_else(|refused| *refused));
        }
        let head = request.method == "HEAD";
        let answer = self.resolve(request).unwrap_or_else(|refused| *refused);
        let kinds = match (&answer.body, head) {
            (_, true) => vec![On::Head],
            (Body::File(..), false) => vec![On::Resolve, On::Bytes],
            (Body::Text(_), false) => vec![On::Resolve],
        };
        (kinds, answer)
    }

    fn repo(&self, id: &str) -> Result<Repo, Box<Answer>> {
        let repos = self.repos.lock().unwrap();
        let found = repos.iter().find(|repo| repo.id == id).cloned();
        found.ok_or_else(|| Box::new(files::refusal(404, "RepoNotFound", "Repository not found")))
    }

    fn api(&self, request: &Request, (id, kind, revision): (&str, &str, &str)) -> Result<Answer, Box<Answer>> {
        let repo = self.repo(id)?;
        if repo.judge(request.header("authorization")) == Some(Objection::InvalidToken) {
            return Err(Box::new(objection(&repo, Objection::InvalidToken)));
        }
        let revision = if kind.is_empty() { "main" } else { revision };
        let Some((commit, files)) = repo.at(revision) else { return Err(no_revision(revision)) };
        if kind != "tree" {
            return Ok(api::info(&repo, commit, files));
        }
        let url = format!("http://{}{}", self.address, request.path);
        let question = Question {
            url: &url,
            recursive: request.parameter("recursive").is_some_and(|value| value.eq_ignore_ascii_case("true")),
            cursor: request.parameter("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or_default(),
        };
        Ok(api::tree(&repo, files, &question))
    }

    /// `/{owner}/{name}/resolve/{revision}/{file}`.
    fn resolve(&self, request: &Request) -> Result<Answer, Box<Answer>> {
        let mut parts = request.path.trim_start_matches('/').splitn(5, '/');
        let mut next = || parts.next().unwrap_or_default();
        let (owner, name, verb, revision, file) = (next(), next(), next(), next(), next());
        if verb != "resolve" {
            return Err(Box::new(Answer::text(404, "<html>Not here</html>").with("Content-Type", "text/html")));
        }
        let repo = self.repo(&format!("{owner}/{name}"))?;
        if let Some(found) = repo.judge(request.header("authorization")) {
            return Err(Box::new(objection(&repo, found)));
        }
        let Some((commit, files)) = repo.at(revision) else { return Err(no_revision(revision)) };
        let Some(blob) = files.get(file) else {
            return Err(Box::new(
                files::refusal(404, "EntryNotFound", "Entry not found").with("X-Repo-Commit", commit),
            ));
        };
        let path = request.path.trim_start_matches('/').replacen(&format!("resolve/{revision}"), commit, 1);
        let place = format!("http://{}{CDN}{}?Expires=1&Signature=x", self.second_host, path.replace(' ', "%20"));
        Ok(files::resolve(request, commit, blob, &place))
    }

    /// `/cdn/{owner}/{name}/{commit}/{file}`, which asks for no token.
    fn second_host_file(&self, request: &Request, path: &str) -> Answer {
        let mut parts = path.splitn(4, '/');
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let (id, commit, file) = (format!("{}/{}", next(), next()), next(), next());
        let repo = match self.repo(&id) {
            Ok(repo) => repo,
            Err(refused) => return *refused,
        };
        match repo.at(&commit).and_then(|(_, files)| files.get(&file)) {
            Some(blob) => files::direct(request, blob),
            None => Answer::text(403, "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"),
        }
    }
}

fn no_revision(revision: &str) -> Box<Answer> {
    Box::new(files::refusal(404, "RevisionNotFound", &format!("Invalid rev id: {revision}")))
}

/// The Hub's own words to who may not read.
fn objection(repo: &Repo, objection: Objection) -> Answer {
    let id = &repo.id;
    match objection {
        Objection::NoToken => files::refusal(
            401,
            "GatedRepo",
            &format!(
                "Access to model {id} is restricted. You must have access to it and be authenticated to access it. Please log in."
            ),
        ),
        Objection::InvalidToken => files::refusal(401, "", "Invalid credentials in Authorization header"),
        Objection::NoLicence => files::refusal(
            403,
            "GatedRepo",
            &format!(
                "Access to model {id} is restricted and you are not in the authorized list. Visit https://huggingface.co/{id} to ask for access."
            ),
        ),
    }
}
