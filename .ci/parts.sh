# Shared by .ci/run and .ci/nightly: run parts one after the other and print a table of them. Source it; do not run it.

status=0
table=
declare -A total=([passed]=0 [failed]=0 [skipped]=0)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# part NAME COMMAND...: run the command, count its tests if it is a run of pytest, and go on after a failure.
part() {
    local name=$1 started=$SECONDS outcome=ok code=0 last count word
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log" || code=$?
    if [ $code != 0 ]; then
        outcome="FAILED ($code)" status=1
    fi
    last=$(tail -n 1 "$log" | grep -E '[0-9]+ [a-z]+.* in [0-9.]+s' || true)
    while read -r count word; do
        # An error is a test that could not begin.
        case $word in
        passed | failed | skipped) total[$word]=$((total[$word] + count)) ;;
        error | errors) total[failed]=$((total[failed] + count)) ;;
        esac
    done < <(grep -oE '[0-9]+ [a-z]+' <<<"$last")
    table+=$(printf '%-12s %6d s   %-12s %s' "$name" $((SECONDS - started)) "$outcome" "$(xargs <<<"${last//=/}")")$'\n'
}

# finish: print the table and exit with 1 if a part failed.
finish() {
    printf '\n%s%-12s %6d s\n' "$table" "sum" "$SECONDS"
    echo "${total[passed]} passed, ${total[failed]} failed, ${total[skipped]} skipped"
    exit "$status"
}
