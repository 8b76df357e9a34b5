//! Decisions over gRPC: Envoy's `Check` call.

use std::net::IpAddr;
use std::rc::Rc;

use gate::BuiltInProfile;
use http::header::CONNECTION;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tokio::time::timeout;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

use super::check::{CheckRequest, CheckResponse};
use super::endpoint::RefusalStyle;
use super::{DecisionRequest, DecisionServer, restrictions};
use crate::inbound::arrival;
use crate::inbound::record::{Decision, Record};
use crate::mode::Mode;

impl DecisionServer {
    pub(super) async fn answer_grpc(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<tonic::body::Body> {
        let limit = self.live.current().client.body;
        let check = CheckService {
            decisions: self,
            peer,
        };
        let mut grpc = Grpc::new(ProstCodec::default());
        let answered = timeout(limit, grpc.unary(check, request)).await;
        answered.unwrap_or_else(|_| {
            tonic::Status::deadline_exceeded("the decision request took too long to arrive")
                .into_http()
        })
    }

    /// Answers a decision request over gRPC. `metadata` are the headers of the call itself.
    pub(super) async fn check(
        &self,
        check: &CheckRequest,
        metadata: &HeaderMap,
        peer: IpAddr,
    ) -> CheckResponse {
        let (headers, original) = match check.headers() {
            Ok(headers) => (headers, check.original()),
            Err(error) => (HeaderMap::new(), Err(error)),
        };
        let live = self.live.current();
        let arrival = arrival::relayed(peer, &headers, &live.calling_proxies);
        let mut record = Record::start(Mode::EnvoyGrpc, arrival, &self.audit, &self.metrics);
        let question = DecisionRequest {
            original,
            restriction: restrictions::check_headers(metadata).and_then(|()| check.restriction()),
            headers: &headers,
            refusal_style: RefusalStyle::PassedOn,
        };
        match self.decide(&live, question, &mut record).await {
            Ok(permit) => {
                let names = BuiltInProfile::Sessiongate;
                let mut allowed = Response::new(());
                allowed.headers_mut().extend(permit.identity(names));
                let forged = permit.forged(names, &headers);
                record.decided(Decision::Permitted(permit.into_admission()));
                record.prepare_answer(&mut allowed);
                record.handed_over(0);
                CheckResponse::allowed(allowed.headers(), &forged)
            }
            Err(mut refused) => {
                refused.headers_mut().remove(CONNECTION);
                record.prepare_answer(&mut refused);
                record.handed_over(refused.body().len());
                CheckResponse::denied(refused)
            }
        }
    }
}

/// The gRPC service, for one call.
struct CheckService {
    decisions: Rc<DecisionServer>,
    peer: IpAddr,
}

impl UnaryService<CheckRequest> for CheckService {
    type Response = CheckResponse;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<tonic::Response<CheckResponse>, tonic::Status>>>,
    >;

    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        let (decisions, peer) = (Rc::clone(&self.decisions), self.peer);
        Box::pin(async move {
            let metadata = request.metadata().as_ref();
            let answer = decisions.check(request.get_ref(), metadata, peer).await;
            Ok(tonic::Response::new(answer))
        })
    }
}
