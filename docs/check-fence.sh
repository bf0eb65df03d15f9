#!/usr/bin/env bash
# Holds the rule that failoverd's fence rests on against a real zone, once: a Route 53 batch is all or
# nothing, and a DELETE whose value or TTL is not exactly the live one is refused.
# Writes two TXT names of its own under _failoverd-check-<random>, asks first, and deletes them again.
# Needs the AWS CLI and the right to list and change TXT records of the zone.
set -u

usage() {
    cat >&2 <<TEXT
usage: $0 [--yes] ZONE-ID
  Exit: 0 OK · 1 it could not be checked · 2 NOT OK: the zone took what it must refuse
  AWS_PROFILE, AWS_ENDPOINT_URL_ROUTE_53 and the like are respected.
TEXT
    exit 1
}

yes=
zone=
for word in "$@"; do
    case $word in
        --yes) yes=1 ;;
        -*) usage ;;
        *) [ -z "$zone" ] || usage; zone=${word#/hostedzone/} ;;
    esac
done
[ -n "$zone" ] || usage

# The CLI's own retries would hide a write that was taken behind the refusal of its repetition.
export AWS_MAX_ATTEMPTS=1 AWS_PAGER=
# Route 53 has one place; version 1 of the CLI reads the second name.
export AWS_REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-us-east-1}}
export AWS_DEFAULT_REGION=$AWS_REGION

stop() { printf 'NOT CHECKED: %s\n' "$*" >&2; exit 1; }
not_ok() { printf 'NOT OK: %s\n' "$*" >&2; exit 2; }
route53() { local call=$1; shift; aws route53 "$call" --output text "$@"; }

command -v aws >/dev/null || stop "the AWS CLI is not installed"
apex=$(route53 get-hosted-zone --id "$zone" --query HostedZone.Name) || stop "zone $zone cannot be read"
random=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
[ ${#random} = 12 ] || stop "no random name could be made"
fence=_failoverd-check-$random.$apex
record=a.$fence

# One change: ACTION NAME VALUE [TTL].
change() {
    printf '{"Action":"%s","ResourceRecordSet":{"Name":"%s","Type":"TXT","TTL":%s,"ResourceRecords":[{"Value":"\\"%s\\""}]}}' \
        "$1" "$2" "${4:-60}" "$3"
}

# Sends the changes as one batch; `answer` is taken, refused, or what the service said instead.
send() {
    local changes=$1 said try
    shift
    for one in "$@"; do changes=$changes,$one; done
    for try in 1 2 3 4 5 6 7 8 9 10; do
        if said=$(route53 change-resource-record-sets --hosted-zone-id "$zone" --query ChangeInfo.Status \
            --change-batch "{\"Comment\":\"failoverd check-fence\",\"Changes\":[$changes]}" 2>&1); then
            answer=taken
            return
        fi
        case $said in
            # Not looked at: an earlier change is still under way, or the account asks too often.
            *"(PriorRequestNotComplete)"* | *"(Throttling)"*) sleep 1 ;;
            *"(InvalidChangeBatch)"*) answer=refused; return ;;
            *) break ;;
        esac
    done
    answer=${said//$'\n'/ }
}

# What stands at the two names, `NAME TTL "VALUE"` a line; fails when it cannot be read.
standing() {
    local listed
    listed=$(route53 list-resource-record-sets --hosted-zone-id "$zone" --start-record-name "$fence" \
        --start-record-type TXT --max-items 10 --query "ResourceRecordSets[?Type=='TXT'].[Name,TTL,ResourceRecords[0].Value]") ||
        return 1
    tr '\t' ' ' <<<"$listed" | grep "^\(a\.\)\{0,1\}_failoverd-check-$random\." | sort
    return 0
}

expect() {
    local wanted now
    wanted=$(printf '%s\n' "$@" | sort)
    now=$(standing) || stop "the zone cannot be listed"
    [ "$now" = "$wanted" ] || not_ok "$step: there stands ${now:-nothing} instead of $wanted"
}

must() {
    local want=$1
    case $answer in
        "$want") ;;
        taken) not_ok "$step was taken" ;;
        refused) not_ok "$step was refused" ;;
        *) stop "$step: $answer" ;;
    esac
    printf '  %-8s %s\n' "$answer" "$step"
}

cleanup() {
    local code=$? left name ttl value try
    trap '' INT TERM HUP
    for try in 1 2 3 4 5; do
        [ $try = 1 ] || sleep 1
        left=$(standing) || continue
        [ -n "$left" ] || break
        while read -r name ttl value; do
            value=${value#\"}
            send "$(change DELETE "$name" "${value%\"}" "$ttl")"
        done <<<"$left"
    done
    if ! left=$(standing) || [ -n "$left" ]; then
        printf 'LEFT BEHIND in zone %s, please delete the TXT records at:\n  %s\n  %s\n' "$zone" "$fence" "$record" >&2
        [ $code != 0 ] || code=1
    fi
    exit $code
}

printf 'zone    %s (%s)\nnames   %s\n        %s\n' "${apex%.}" "$zone" "${fence%.}" "${record%.}"
printf 'writes  two TXT records at these names, deleted at the end; no other name is touched\n'
if [ -z "$yes" ]; then
    printf 'type yes to go on: '
    read -r word || word=
    [ "$word" = yes ] || stop "nothing was written"
fi
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

step="the creation of a fence"
send "$(change CREATE "$fence" one)"
must taken

step="a DELETE with another value"
send "$(change DELETE "$fence" two)"
must refused

step="a DELETE with another TTL"
send "$(change DELETE "$fence" one 61)"
must refused

step="a move: the exact DELETE, a CREATE in its place, and an UPSERT beside them"
send "$(change DELETE "$fence" one)" "$(change CREATE "$fence" two)" "$(change UPSERT "$record" moved)"
must taken
expect "$fence 60 \"two\"" "$record 60 \"moved\""

step="the same move again, now stale"
send "$(change DELETE "$fence" one)" "$(change CREATE "$fence" three)" "$(change UPSERT "$record" stale)"
must refused
step="a stale move was refused, but applied in part"
expect "$fence 60 \"two\"" "$record 60 \"moved\""

printf 'OK: the zone refuses stale batches and applies nothing of them\n'
