"""Wrong parameters to every method: the cases come from the node's own description of its methods,
so a method that is added is tested here without a line more (spec rpc 1.3)."""
import json
import random

from framework import ADDRESS, RpcError, case, check, equal, is_in, main, raises_rpc

# A value each type takes, and one it does not; a parameter of type "any" is its method's business.
GOOD = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "amount": "0.1",
        "hash": "00" * 32, "hex": "00", "object": {}, "array": [], "any": 1}
BAD = {"string": [7, True, {}, []], "integer": ["1", True, {}, 1.5, 2**63, 10**30, 1e300],
       "number": ["1", True, {}], "boolean": [1, "true", {}], "amount": [True, {}, "1.123456789"],
       "hash": [7, "00", "zz" * 32, "00" * 33], "hex": [7, "0", "0g", {}], "object": [7, "{}", []],
       "array": [7, "[]", {}]}
FIELDS = ["name", "category", "where", "hidden", "help", "result", "example", "anyparameters",
          "params"]
PARAM_FIELDS = ["name", "aliases", "type", "required", "json", "help"]


def good_until(method, n):
    return [GOOD[p["type"]] for p in method["params"][:n]]


def described(node):
    return [m for m in node.rpc.getrpcdescription() if not m["anyparameters"]]


@case()
def description_is_whole(t):
    node = t.node()
    methods = node.rpc.getrpcdescription()
    names = [m["name"] for m in methods]
    check(len(methods) >= 50, f"{len(methods)} methods")
    equal(names, sorted(names))
    for method in methods:
        equal(list(method), FIELDS, method["name"])
        is_in(method["where"], ("http", "worker", "waiter"))
        check(method["help"] and method["result"] and method["category"], method["name"])
        for param in method["params"]:
            equal(list(param), PARAM_FIELDS, method["name"])
            is_in(param["type"], GOOD)
            check(param["help"], f"{method['name']} {param['name']}")
        text = node.rpc.help(method["name"])
        check(text.startswith(method["name"]), "the help of the same method")
        is_in(method["help"], text)
    is_in("echo", names, "hidden ones too")
    equal(node.rpc.getrpcdescription("getblock"), [m for m in methods if m["name"] == "getblock"])
    verbosity = node.rpc.getrpcdescription("getblock")[0]["params"][1]
    equal((verbosity["name"], verbosity["aliases"], verbosity["required"]),
          ("verbosity", ["verbose"], False))
    raises_rpc(-8, lambda: node.rpc.getrpcdescription("nonsense"), "nonsense")


@case()
def client_prints_the_description(t):
    node = t.node()
    code, out, errors = node.cli("help", "--json")
    equal((code, errors), (0, ""))
    equal(json.loads(out), node.rpc.getrpcdescription())
    code, out, errors = node.cli("help", "--json", "stop")
    equal((code, errors, [m["name"] for m in json.loads(out)]), (0, "", ["stop"]))
    equal(node.cli("help", "--json", "nonsense")[0], 8)


@case()
def too_many_parameters_give_the_help(t):
    node = t.node()
    for method in described(node):
        name, n = method["name"], len(method["params"])
        error = raises_rpc(-1, lambda: node.rpc.call(name, *good_until(method, n), 1))
        check(error.message.startswith(name), f"{name}: help text, got {error.message[:80]}")
        is_in("Example:", error.message, name)


@case()
def too_few_parameters_give_the_help(t):
    node = t.node()
    tried = 0
    for method in described(node):
        name = method["name"]
        required = sum(p["required"] for p in method["params"])
        for n in range(required):
            error = raises_rpc(-1, lambda: node.rpc.call(name, *good_until(method, n)))
            check(error.message.startswith(name), f"{name} with {n}: {error.message[:80]}")
            tried += 1
    check(tried > 20, "methods with required parameters")


@case()
def wrong_types_are_refused_before_anything_happens(t):
    node = t.node()
    tried = 0
    for method in described(node):
        for at, param in enumerate(method["params"]):
            for bad in BAD.get(param["type"], []):
                what = f"{method['name']}({param['name']}={bad!r})"
                try:
                    result = node.rpc.call(method["name"], *good_until(method, at), bad)
                except Exception as error:  # pylint: disable=broad-except
                    is_in(error.code, (-1, -3, -8, -22), what)
                    check(any(word in error.message for word in
                              ("as expected", "out of range", "Expected type", "Amount is not", "must be", "Invalid amount",
                               "decode failed")),
                          f"{what}: {error.message[:200]}")
                    tried += 1
                    continue
                raise AssertionError(f"{what} gave {str(result)[:200]}")
    check(tried > 200, f"only {tried} tried")
    check(node.is_alive(), "the node runs on")


def fails_for_its_type(call):
    """With the code that the reference has: -3 where it looks at types first, else -1."""
    try:
        call()
    except RpcError as error:
        is_in(error.code, (-1, -3))
        return error
    raise AssertionError("no error")


@case()
def types_that_are_looked_at_first_have_a_code_of_their_own(t):
    node = t.node()
    for method, params in (("decoderawtransaction", [7]), ("decodescript", [7]),
                           ("sendrawtransaction", [True]), ("sendrawtransaction", ["00", "true"]),
                           ("signrawtransaction", [{}]), ("fundrawtransaction", [7]),
                           ("createrawtransaction", [{}, {}]), ("listunspent", ["1"]),
                           ("lockunspent", ["true"]), ("importmulti", ["x"]),
                           ("setmocktime", ["1"]), ("setmocktime", [None])):
        raises_rpc(-3, lambda: node.rpc.call(method, *params), "Expected type")
    for amount in (True, {}, None):
        raises_rpc(-3, lambda: node.rpc.settxfee(amount), "Amount is not a number or string")
    raises_rpc(-1, lambda: node.rpc.getblockhash("1"), "not an integer as expected")


@case()
def unknown_names_are_named(t):
    node = t.node()
    for method in described(node):
        raises_rpc(-8, lambda: node.rpc.call(method["name"], nonsense=1),
                   "Unknown named parameter nonsense")
    for method in described(node):
        for param in method["params"]:
            bad = BAD.get(param["type"])
            for name in [param["name"]] + param["aliases"] if bad else []:
                error = fails_for_its_type(lambda: node.rpc.call(method["name"], **{name: bad[0]}))
                check("Unknown" not in error.message, f"{method['name']} knows {name}")


@case()
def null_is_no_value(t):
    """For a required parameter it is a wrong type, for an optional one as if it were not there."""
    node = t.node()
    for method in described(node):
        for at, param in enumerate(method["params"]):
            if param["required"] and param["type"] != "any":
                fails_for_its_type(
                    lambda: node.rpc.call(method["name"], *good_until(method, at), None))
    equal(node.rpc.getblockheader(node.tip(), None), node.rpc.getblockheader(node.tip()))
    equal(node.rpc.help(None), node.rpc.help())


# Values of the right type that nobody means; where anything may come, all of them.
EXTREME = {"string": ["", "x" * 5000, "ä€\U0001f600", "\0", "-1", "[::1]:1", "%s%n"],
           "integer": [0, -1, 1, 2**31 - 1, 2**31, -2**31 - 1, 2**32, 2**63 - 1, -2**63],
           "number": [0, -1, 1e300, -1e300, 1e-300, 2**63 - 1], "boolean": [True, False],
           "amount": [0, -1, "21000000.00000001", "1e9", 92233720368.54775807],
           "hash": ["00" * 32, "ff" * 32], "hex": ["", "00", "ff" * 3000, "01" * 81],
           "object": [{}, {"x": {"y": [None]}}, {"": 0}, {"data": 7}],
           "array": [[], [[]], [{}], [None] * 50, ["x"], [2**63], [10**400], [{"x": 1}], [[[[[[]]]]]]]}
EXTREME["any"] = [v for values in list(EXTREME.values()) for v in values]
LEFT_ALONE = {"stop", "generate", "generatetoaddress"}


@case(timeout=120)
def extreme_values_are_answered(t):
    node = t.node()
    node.rpc.generatetoaddress(3, ADDRESS)
    randomness = random.Random(7)
    for method in described(node):
        if method["name"] in LEFT_ALONE or method["where"] == "waiter":
            continue
        params = method["params"]
        for _ in range(20 * len(params) + (1 if params else 0)):
            values = [randomness.choice(EXTREME[p["type"]]) for p in params]
            given = values[:randomness.randint(sum(p["required"] for p in params), len(params))]
            status, reply = node.rpc.request(method["name"], given)
            equal(list(reply), ["result", "error", "id"], method["name"])
            is_in(status, (200, 400, 404, 500), f"{method['name']} {given!r}"[:300])
        node.rpc.setmocktime(0)
        node.rpc.setnetworkactive(True)
    check(node.is_alive(), "the node runs on")
    equal(node.rpc.getblockcount() >= 0, True)
    node.stop()


if __name__ == "__main__":
    main()
