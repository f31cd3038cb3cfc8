//! `postrider secret`: new signing secrets.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::policy::keys::ED25519_KEY_BYTES;
use crate::policy::keys::ed25519_key_texts;
use crate::policy::keys::shared_key_text;

/// Make signing secrets
///
///   # a secret for one endpoint, readable by you alone
///   postrider secret generate --out /etc/postrider/secrets/billing
///   # encrypted for the service
///   postrider secret generate | systemd-creds encrypt --name=billing - billing.cred
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SecretArgs {
    #[command(subcommand)]
    command: SecretCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SecretCommand {
    /// Print a new secret: whsec_ (shared by both sides), or with --asymmetric whsk_ (sign) and
    /// whpk_ (verify).
    Generate(GenerateArgs),
}

#[derive(Debug, clap::Args)]
struct GenerateArgs {
    /// An ed25519 pair: the receiver gets the public key and can sign nothing with it.
    #[arg(long)]
    asymmetric: bool,
    /// Write the secret to a new file that only you may read, instead of printing it. The public
    /// key of a pair is still printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Makes a secret and prints it or writes it to a file.
///
/// # Errors
/// If the system has no randomness to give, or the file exists or cannot be written.
pub fn run(args: SecretArgs) -> anyhow::Result<ExitCode> {
    let SecretCommand::Generate(args) = args.command;
    generate_to(&args, &mut std::io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}

fn generate_to(args: &GenerateArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut random = Zeroizing::new([0; ED25519_KEY_BYTES]);
    SystemRandom::new()
        .fill(random.as_mut_slice())
        .map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    let (secret, public) = if args.asymmetric {
        let (secret, public) = ed25519_key_texts(&random)?;
        (secret, Some(public))
    } else {
        (shared_key_text(&random), None)
    };
    match &args.out {
        Some(path) => {
            write_new(path, secret.expose_secret())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => writeln!(out, "{}", secret.expose_secret())?,
    }
    if let Some(public) = public {
        writeln!(out, "{public}")?;
    }
    Ok(())
}

/// Refuses to write over a file: the secret in it may be in use.
fn write_new(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ring::signature::Ed25519KeyPair;

    use super::*;

    fn generated(asymmetric: bool, out: Option<PathBuf>) -> anyhow::Result<Vec<String>> {
        let mut printed = Vec::new();
        generate_to(&GenerateArgs { asymmetric, out }, &mut printed)?;
        Ok(String::from_utf8(printed)?.lines().map(str::to_owned).collect())
    }

    fn decoded(prefix: &str, line: &str) -> Vec<u8> {
        STANDARD.decode(line.strip_prefix(prefix).unwrap()).unwrap()
    }

    #[test]
    fn a_secret_is_32_new_bytes() {
        let first = generated(false, None).unwrap();
        let second = generated(false, None).unwrap();
        assert_eq!(first.len(), 1);
        assert_eq!(decoded("whsec_", &first[0]).len(), 32);
        assert_ne!(first, second);
    }

    #[test]
    fn a_pair_is_seed_and_public_key_and_the_public_key_again() {
        let lines = generated(true, None).unwrap();
        let private = decoded("whsk_", &lines[0]);
        assert_eq!(private.len(), 64);
        assert_eq!(private[32..], decoded("whpk_", &lines[1]));
        Ed25519KeyPair::from_seed_and_public_key(&private[..32], &private[32..]).unwrap();
    }

    #[test]
    fn a_file_is_for_its_owner_alone_and_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert!(generated(false, Some(path.clone())).unwrap().is_empty());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let before = std::fs::read(&path).unwrap();
        assert!(generated(false, Some(path.clone())).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
