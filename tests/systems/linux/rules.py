"""Parts of rules of a packet filter, as nft lists them."""

import ipaddress

HERE, PEER = ipaddress.ip_address("10.0.0.5"), ipaddress.ip_address("10.0.0.9")


def payload(protocol, field, right, op="=="):
    return {"match": {"op": op, "left": {"payload": {"protocol": protocol, "field": field}}, "right": right}}


def key(kind, name, right):
    return {"match": {"op": "==", "left": {kind: {"key": name}}, "right": right}}


CHAIN = {"family": "inet", "table": "t", "name": "out", "type": "filter", "hook": "output", "prio": 0}


DROP, ACCEPT = {"drop": None}, {"accept": None}


FLAGS = {
    "match": {
        "op": "==",
        "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]},
        "right": "syn",
    }
}
