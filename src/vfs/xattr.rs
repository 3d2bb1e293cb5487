// SPDX-License-Identifier: GPL-2.0

//! Extended attributes and access control lists.

use super::{
    charge,
    errno::reported,
    inode::{
        change_time,
        changes,
        committed,
        Times, //
    },
    Bcachefs, //
};
use crate::{
    env::{
        num::low_u32,
        Vec, //
    },
    error::{
        errno::Errno,
        Error, //
    },
    format::{
        opts::BadValue,
        values::xattr::XattrType, //
    },
    fs::{
        acl::{
            self,
            Kind, //
        },
        change::SetMode,
        options::{
            self,
            OptionNr, //
        },
        xattr, //
    },
    sys::fs::{
        AclEntry,
        AclKind,
        INode,
        Result,
        XattrHandler,
        XattrList,
        XattrMode, //
    },
};
use core::fmt;

/// Options set on this inode, as attributes.
const OPTIONS: i32 = 256;
/// Options that this inode has, wherever they come from.
const OPTIONS_EFFECTIVE: i32 = 257;

static USER: XattrHandler<Bcachefs> = XattrHandler::new(c"user.", 0);
static TRUSTED: XattrHandler<Bcachefs> = XattrHandler::new(c"trusted.", 3);
static SECURITY: XattrHandler<Bcachefs> = XattrHandler::new(c"security.", 4);
static OWN_OPTIONS: XattrHandler<Bcachefs> = XattrHandler::new(c"bcachefs.", OPTIONS);
static ALL_OPTIONS: XattrHandler<Bcachefs> =
    XattrHandler::new(c"bcachefs_effective.", OPTIONS_EFFECTIVE);

/// The name spaces. Access control lists are not among them: the VFS makes their attributes.
pub(super) static HANDLERS: [Option<&XattrHandler<Bcachefs>>; 6] = [
    Some(&USER),
    Some(&TRUSTED),
    Some(&SECURITY),
    Some(&OWN_OPTIONS),
    Some(&ALL_OPTIONS),
    None,
];

/// The value of an attribute.
pub(super) fn get(
    inode: &INode<Bcachefs>,
    space: i32,
    name: &[u8],
    buf: Option<&mut [u8]>,
) -> Result<usize> {
    let Ok(space) = u8::try_from(space) else {
        return option(inode, space == OPTIONS_EFFECTIVE, name, buf);
    };
    let view = &inode.sb().data().fs.view;
    let buf = buf.unwrap_or_default();
    xattr::get(
        view,
        inode.key(),
        &inode.data().inode(),
        XattrType(space),
        name,
        buf,
    )
    .map_err(|e| reported("reading an attribute", inode, e))
}

/// Sets an attribute, or removes it when there is no value.
pub(super) fn set(
    inode: &INode<Bcachefs>,
    space: i32,
    name: &[u8],
    value: Option<&[u8]>,
    mode: XattrMode,
) -> Result {
    let Ok(space) = u8::try_from(space) else {
        // What is inherited is not set.
        return match space == OPTIONS_EFFECTIVE {
            true => Ok(()),
            false => {
                set_option(inode, name, value).map_err(|e| reported("setting an option", inode, e))
            }
        };
    };
    let mode = match mode {
        XattrMode::Any => SetMode::Any,
        XattrMode::Create => SetMode::Create,
        XattrMode::Replace => SetMode::Replace,
        XattrMode::Never => SetMode::Never,
    };
    let changes = changes(inode.sb().data())?;
    let attribute = (XattrType(space), name);
    let (changed, at) = changes
        .set_xattr(inode.key(), attribute, value, mode, change_time(inode))
        .map_err(|e| reported("setting an attribute", inode, e))?;
    committed(inode, &changed, at, Times::CHANGE);
    Ok(())
}

/// Sets an option of an inode, or has it inherited when there is no value. The text ends where a
/// string of C would.
///
/// C: `bch2_xattr_bcachefs_set()`.
fn set_option(inode: &INode<Bcachefs>, name: &[u8], value: Option<&[u8]>) -> crate::error::Result {
    let mount = inode.sb().data();
    let st = mount.fs.view.sb();
    let name = core::str::from_utf8(name).unwrap_or("");
    let option = OptionNr::of(name, st.sb.version())?;
    let parse = |text: &[u8]| {
        let text = text.split(|b| *b == 0).next().unwrap_or_default();
        let text = core::str::from_utf8(text).map_err(|_| BadValue::NotChoice)?;
        match option.info() {
            Some(info) => st.parse_option(info, text),
            None => Err(BadValue::NotChoice),
        }
    };
    let value = value.map(parse).transpose().map_err(BadValue::error)?;
    let changes = mount.fs.changes()?;
    if let (true, Some(project)) = (option.is_project(), value) {
        charge::may_move(inode, |ids| ids.project = low_u32(project))?;
    }
    let (changed, at) = changes.set_option(inode.key(), option, value)?;
    committed(inode, &changed, at, Times::default());
    Ok(())
}

/// The value of an option of an inode.
///
/// C: `__bch2_xattr_bcachefs_get()`.
fn option(
    inode: &INode<Bcachefs>,
    effective: bool,
    name: &[u8],
    buf: Option<&mut [u8]>,
) -> Result<usize> {
    if !options::is_known(name) {
        return Err(Errno::EINVAL);
    }
    let found = options::options(&inode.data().inode())
        .find(|o| o.name.as_bytes() == name && (o.is_own || effective))
        .ok_or(Errno::ENODATA)?;
    let mut text = Text {
        buf: buf.unwrap_or_default(),
        len: 0,
        full: false,
    };
    let counting = text.buf.is_empty();
    match found.write(inode.sb().data().fs.view.sb(), &mut text) {
        Ok(()) if counting || !text.full => Ok(text.len),
        _ => Err(Errno::ERANGE),
    }
}

/// Text for a caller's buffer; counts what does not fit.
struct Text<'a> {
    buf: &'a mut [u8],
    len: usize,
    full: bool,
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for b in s.bytes() {
            match self.buf.get_mut(self.len) {
                Some(to) => *to = b,
                None => self.full = true,
            }
            self.len = self.len.wrapping_add(1);
        }
        Ok(())
    }
}

/// The names of all attributes.
///
/// C: `bch2_xattr_list()`.
pub(super) fn list(inode: &INode<Bcachefs>, to: &mut XattrList<'_>) -> Result {
    let mount = inode.sb().data();
    let acl = mount.has_acl();
    let admin = to.for_admin();
    let mut full = Ok(());
    xattr::list(&mount.fs.view, inode.key(), |x| {
        let hidden = match x.xattr_type {
            XattrType::TRUSTED => !admin,
            XattrType::ACL_ACCESS | XattrType::ACL_DEFAULT => !acl,
            _ => false,
        };
        let prefix = x.xattr_type.prefix().unwrap_or_default();
        if hidden || full.is_err() {
            return Ok(());
        }
        full = to.add(prefix.as_bytes(), x.name);
        Ok(())
    })
    .map_err(|e: Error| reported("listing attributes", inode, e))?;
    full?;
    let of_inode = &inode.data().inode();
    for o in options::options(of_inode).filter(|o| o.is_own) {
        to.add(b"bcachefs.", o.name.as_bytes())?;
    }
    for o in options::options(of_inode) {
        to.add(b"bcachefs_effective.", o.name.as_bytes())?;
    }
    Ok(())
}

/// An access control list.
pub(super) fn acl(inode: &INode<Bcachefs>, kind: AclKind) -> Result<Option<Vec<AclEntry>>> {
    let kind = match kind {
        AclKind::Access => Kind::Access,
        AclKind::Default => Kind::Default,
    };
    let read = || {
        let view = &inode.sb().data().fs.view;
        let Some(stored) = acl::get(view, inode.key(), &inode.data().inode(), kind)? else {
            return Ok(None);
        };
        let mut entries = Vec::with_capacity(stored.len())?;
        for e in &stored {
            entries.push(AclEntry {
                tag: e.tag.number(),
                perm: e.perm,
                id: e.id,
            })?;
        }
        Ok(Some(entries))
    };
    read().map_err(|e| reported("reading the ACL", inode, e))
}
