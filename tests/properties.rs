//! What holds for every input of the policies and guards that strangers can reach.

#![expect(clippy::unwrap_used, reason = "a test that fails is meant to panic")]

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use postrider::courier::EgressRules;
use postrider::courier::guard::Guard;
use postrider::courier::special::why_special;
use postrider::model::EndpointNo;
use postrider::model::EventType;
use postrider::model::Time;
use postrider::model::TypeGlob;
use postrider::policy::keys::SigningKey;
use postrider::policy::keys::VerifyingKey;
use postrider::policy::retry_after;
use postrider::policy::routing;
use postrider::policy::routing::Routes;
use postrider::policy::sign::sign;
use postrider::policy::verify::Signed;
use postrider::policy::verify::VerifyError;
use postrider::policy::verify::verify;
use proptest::prelude::*;

fn check(texts: &[&str], signed: &Signed<'_>, now: u64) -> Result<(), VerifyError> {
    let keys: Vec<_> = texts.iter().map(|text| VerifyingKey::parse(text).unwrap()).collect();
    verify(&keys, signed, now, Some(300))
}

const SHARED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PAIR: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ\
                    6p9lMicMFs6Kvg==";

/// The patterns of one endpoint, of few names, so that they meet.
fn globs() -> impl Strategy<Value = Vec<TypeGlob>> {
    let text = "(postrider|a|b|\\*)(\\.(a|b|c|\\*)){0,2}(\\.\\*\\*)?|\\*\\*";
    let glob = text.prop_map(|text: String| text.parse().unwrap());
    proptest::collection::vec(glob, 0..4)
}

proptest! {
    #[test]
    fn what_is_signed_is_verified_and_nothing_else(
        id in "[a-zA-Z0-9_]{1,40}",
        at in 1_000_u64..9_999_999_999_999,
        body in proptest::collection::vec(any::<u8>(), 1..200),
        place in any::<proptest::sample::Index>(),
        bit in 0_u8..8,
        key in prop_oneof![Just(SHARED), Just(PAIR)],
    ) {
        let list = sign(&[SigningKey::parse(key).unwrap()], &id, at, &body);
        let timestamp = at.to_string();
        let signed = |body| Signed {
            id: Some(id.as_bytes()),
            timestamp: Some(timestamp.as_bytes()),
            signature: Some(list.as_bytes()),
            body,
        };
        prop_assert_eq!(check(&[SHARED, PAIR], &signed(&body), at), Ok(()));
        let mut changed = body.clone();
        changed[place.index(body.len())] ^= 1_u8 << bit;
        prop_assert_eq!(check(&[SHARED, PAIR], &signed(&changed), at), Err(VerifyError::NoMatch));
    }

    #[test]
    fn what_strangers_make_up_is_refused(
        id in proptest::collection::vec(any::<u8>(), 0..40),
        timestamp in "[0-9]{0,20}|.{0,20}",
        list in "(v1a?,[A-Za-z0-9+/=]{0,90} ?){0,5}|.{0,60}",
        now in any::<u64>(),
    ) {
        let signed = Signed {
            id: Some(&id),
            timestamp: Some(timestamp.as_bytes()),
            signature: Some(list.as_bytes()),
            body: b"{}",
        };
        prop_assert!(check(&[SHARED, PAIR], &signed, now).is_err());
    }

    #[test]
    fn retry_after_is_never_before_now(
        value in ".{0,40}|[0-9]{1,30}",
        secs in 0_u64..9_999_999_999,
    ) {
        let now = Time::from_secs(secs);
        if let Some(at) = retry_after::parse(&value, now) {
            prop_assert!(at >= now);
        }
    }

    #[test]
    fn an_address_inside_another_is_judged_like_itself(bits in any::<u32>(), port in any::<u16>()) {
        let guard = Guard::new(&EgressRules { block_private: true, ..EgressRules::default() }, &[]);
        let four = Ipv4Addr::from(bits);
        let judge = |ip: IpAddr| guard.check(SocketAddr::new(ip, port));
        prop_assert_eq!(judge(four.into()), judge(four.to_ipv6_mapped().into()));
        prop_assert!(judge(four.to_ipv6_compatible().into()).is_err());
    }

    /// The standard library knows some of the special networks too.
    #[test]
    fn nothing_that_is_known_to_be_private_passes(bits in any::<u32>()) {
        let four = Ipv4Addr::from(bits);
        let known = four.is_private() || four.is_loopback() || four.is_link_local()
            || four.is_multicast() || four.is_broadcast() || four.is_documentation()
            || four.is_unspecified();
        prop_assert!(!known || why_special(four.into()).is_some());
    }

    #[test]
    fn routes_lead_where_patterns_cover(
        rounds in proptest::collection::vec((0_u32..6, globs()), 1..20),
        types in proptest::collection::vec("(postrider|a|b)(\\.(a|b|c)){0,3}", 1..8),
    ) {
        let mut routes = Routes::default();
        let mut linear = std::collections::BTreeMap::new();
        for (no, globs) in rounds {
            routes.set(EndpointNo(no), &globs);
            linear.insert(EndpointNo(no), globs);
        }
        for text in types {
            let event_type: EventType = text.parse().unwrap();
            let covered = |globs: &&Vec<TypeGlob>| {
                globs.iter().any(|glob| routing::covers(glob, &event_type))
            };
            let takers = linear.iter().filter(|(_, globs)| covered(globs));
            let takers: Vec<_> = takers.map(|(no, _)| *no).collect();
            prop_assert_eq!(routes.takers(&event_type), takers, "{}", event_type.as_str());
        }
    }
}
