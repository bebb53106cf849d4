//! Trace ids and CORS, which every answer has.

use reqwest::{Method, Response};
use serde_json::json;
use triage_api::http::{HttpOptions, Origins};

use crate::app::{App, Setup, question_with, read};

fn id(response: &Response) -> String {
    response.headers()["x-request-id"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_sane_request_id_becomes_the_trace_id() {
    let app = App::start();
    let asked = |name: &'static str| app.request(Method::GET, "/nothing").header("x-request-id", name).send();
    let response = asked("0123456789abcdef").await.unwrap();
    assert_eq!(id(&response), "0123456789abcdef");
    assert_eq!(read(response).await.1["detail"]["trace_id"], "0123456789abcdef");
    for insane in ["a b", "a\"b", "", "é", "P000123-Alice-Nguyen"] {
        assert_eq!(id(&asked(insane).await.unwrap()).len(), 36, "{insane:?}");
    }
}

#[tokio::test]
async fn body_and_header_agree() {
    let app = App::start();
    for more in [json!({}), json!({ "patient_mrn": "P999999" })] {
        let response = app.post("/triage", &question_with(&more)).await;
        let header = id(&response);
        let (_, body) = read(response).await;
        let trace_id = body.get("trace_id").unwrap_or(&body["detail"]["trace_id"]);
        assert_eq!(trace_id, &json!(header));
    }
}

#[tokio::test]
async fn any_origin_may_read_by_default() {
    let app = App::start();
    for path in ["/health", "/patients/P999999"] {
        let response = app.request(Method::GET, path).header("origin", "http://a.example").send().await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*", "errors, too");
        assert!(!response.headers().contains_key("access-control-allow-credentials"));
        let exposed = response.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("x-request-id") && exposed.contains("retry-after"), "{exposed}");
    }
}

#[tokio::test]
async fn a_list_of_origins_leaves_the_others_out() {
    let origins = Origins::List(vec!["http://a.example".to_owned()]);
    let app = App::with(Setup { http: HttpOptions { origins, ..HttpOptions::default() }, ..Setup::default() });
    let preflight = |origin: &'static str| {
        app.request(Method::OPTIONS, "/triage")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .send()
    };
    let allowed = preflight("http://a.example").await.unwrap();
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "http://a.example");
    let refused = preflight("http://b.example").await.unwrap();
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
}
