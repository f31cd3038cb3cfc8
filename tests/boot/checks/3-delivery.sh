# Signed deliveries under the sandbox; one secret is a file, the other a credential of systemd.

sed -i -e 's/^https_only .*/https_only = false/' -e 's/^allow .*/allow = ["127.0.0.0\/8"]/' \
    -e 's/^ports .*/ports = []/' $CONFIG
install -d /etc/postrider/secrets /etc/postrider/conf.d
for name in billing shipping; do
    postrider secret generate --out /etc/postrider/secrets/$name
done
chown postrider: /etc/postrider/secrets/billing
cat >/etc/postrider/conf.d/endpoints.toml <<'END'
[[endpoint]]
name    = "billing"
url     = "http://127.0.0.1:8400/hook"
types   = ["order.*", "load.*"]
secret  = { file = "/etc/postrider/secrets/billing" }
retry   = { policy = "exponential", base = "1s", max = "2s", max_attempts = 1000 }
breaker = { enabled = false }
[[endpoint]]
name    = "shipping"
url     = "http://127.0.0.1:8401/hook"
types   = ["order.*"]
secret  = { credential = "shipping" }
END
drop_in 50-credential <<'END'
[Service]
LoadCredential=shipping:/etc/postrider/secrets/shipping
END
# outside the unit, someone has to say where its credentials are
check "the configuration is good" \
    env CREDENTIALS_DIRECTORY=/etc/postrider/secrets postrider config check
receive billing 8400 /etc/postrider/secrets/billing
receive shipping 8401 /etc/postrider/secrets/shipping
check "a restart takes the new configuration" systemctl restart $UNIT
check "an event is accepted" accepted teller order.created signed '{"card":"payload-of-4711"}'
for name in billing shipping; do
    check "$name gets it" await 30 received $name '"type":"order.created"'
    check "with a good signature" received $name '"signature":"ok"'
done
settled() { api_says "/v1/deliveries?state=delivered&endpoint=$1" order.created; }
for name in billing shipping; do
    check "the delivery to $name is settled" await 30 settled $name
done
