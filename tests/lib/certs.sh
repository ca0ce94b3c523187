# shellcheck shell=bash
# A throw-away certificate authority and what the TLS tests need of it. Sourced after common.sh.

readonly KEY_TYPE=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)

# authority NAME: NAME.crt and NAME.key, self-signed
authority() {
  openssl req -x509 "${KEY_TYPE[@]}" -days 2 -subj "/CN=rsqoop test $1" -keyout "$1.key" -out "$1.crt" 2>/dev/null
}

# certificate NAME COMMON_NAME EXTENSION [AUTHORITY]
certificate() {
  local authority=${4:-ca}
  openssl req "${KEY_TYPE[@]}" -subj "/CN=$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA "$authority.crt" -CAkey "$authority.key" -CAcreateserial -days 2 \
    -out "$1.crt" -extfile <(printf '%s\n' "$3") 2>/dev/null
}

# make_certs FOLDER
make_certs() (
  mkdir -p "$1"
  cd "$1" || exit
  authority ca
  authority other-ca # for "is the chain really checked?"
  certificate server localhost 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  certificate wronghost db.invalid 'subjectAltName=DNS:db.invalid'
  certificate client app 'extendedKeyUsage=clientAuth'
  certificate other-client app 'extendedKeyUsage=clientAuth' other-ca
  rm -f ./*.csr ./*.srl
  chmod 600 ./*.key
  chmod 644 ./*.crt
)
